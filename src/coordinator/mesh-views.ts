import type { Clock } from '../clock.ts';
import type { NodeName } from '../ike/connection.ts';
import type { LinkView, NodeView, StatusReply } from './api.ts';
import type { HintDelivery } from './hint-delivery.ts';
import type { IssuedStates } from './issued-states.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SpecInForce } from './spec-in-force.ts';
import type { Store } from './store.ts';
import { linkView, nodeView, type NodeKnowledge } from './views.ts';

export interface MeshViewsDeps {
  readonly version: string;
  readonly mesh: string;
  readonly store: Pick<Store, 'admission' | 'renewals'>;
  readonly spec: Pick<SpecInForce, 'revision' | 'nodes' | 'links' | 'versionOf'>;
  readonly issued: Pick<IssuedStates, 'epoch' | 'statementFor' | 'isHeldBack'>;
  readonly registry: Pick<NodeRegistry, 'online' | 'statusOf' | 'channelOf'>;
  readonly hints: Pick<HintDelivery, 'view'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** What the operator sees of the mesh, its nodes and its links, put together from all that the coordinator knows of them. */
export class MeshViews {
  readonly #deps: MeshViewsDeps;
  readonly #startedAtMs: number;

  constructor(deps: MeshViewsDeps) {
    this.#deps = deps;
    this.#startedAtMs = deps.clock.nowMs();
  }

  status(): StatusReply {
    const { version, mesh, store, spec, issued, registry } = this.#deps;
    return {
      version,
      mesh,
      epoch: issued.epoch,
      revision: spec.revision?.revision ?? 0,
      startedAtMs: this.#startedAtMs,
      nodes: {
        inSpec: spec.nodes.size,
        enrolled: store.admission.nodes().length,
        online: registry.online.length,
      },
    };
  }

  /** The spec's nodes and those that have enrolled, by name. */
  nodes(): NodeView[] {
    const { store, spec, clock } = this.#deps;
    const certificates = store.renewals.ends();
    const records = new Map(store.admission.nodes().map((record) => [record.name, record]));
    const revocations = new Map(store.admission.revocations.inForce().map((each) => [each.node, each]));
    const names = [...new Set([...spec.nodes.keys(), ...records.keys(), ...revocations.keys()])].sort();
    return names.map((name) => {
      const found = {
        record: records.get(name),
        certificates: certificates.get(name),
        revocation: revocations.get(name),
      };
      return nodeView({ ...found, ...this.#knowledgeOf(name) }, clock.nowMs());
    });
  }

  links(): LinkView[] {
    const { spec, hints } = this.#deps;
    return spec.links.map((link) => linkView(link, (node) => this.#knowledgeOf(node), hints.view(link.id)));
  }

  #knowledgeOf(name: NodeName): Omit<NodeKnowledge, 'record' | 'certificates' | 'revocation'> {
    const { spec, issued, registry } = this.#deps;
    return {
      name,
      inSpec: spec.nodes.has(name),
      wanted: spec.versionOf(name),
      told: issued.statementFor(name),
      isHeldBack: issued.isHeldBack,
      status: registry.statusOf(name),
      channel: registry.channelOf(name),
    };
  }
}
