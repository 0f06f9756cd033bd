import type { NodeName } from '../ike/connection.ts';
import type { LinkView, NodeView } from './api.ts';
import type { IssuedStates } from './issued-states.ts';
import type { LinkBoard } from './link-board.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SpecInForce } from './spec-in-force.ts';
import type { Store } from './store.ts';
import { linkView, nodeView, type NodeKnowledge } from './views.ts';

export interface MeshViewsDeps {
  readonly store: Pick<Store, 'admission' | 'renewals'>;
  readonly spec: Pick<SpecInForce, 'nodes' | 'links' | 'versionOf'>;
  readonly issued: Pick<IssuedStates, 'statementFor' | 'isHeldBack'>;
  readonly registry: Pick<NodeRegistry, 'statusOf' | 'channelOf'>;
  readonly board: Pick<LinkBoard, 'view'>;
  /** Wall-clock time, ms since the epoch. */
  readonly now: () => number;
}

/** What the operator sees of nodes and links, put together from all that the coordinator knows of them. */
export class MeshViews {
  readonly #deps: MeshViewsDeps;

  constructor(deps: MeshViewsDeps) {
    this.#deps = deps;
  }

  /** The spec's nodes and those that have enrolled, by name. */
  nodes(): NodeView[] {
    const { store, spec, now } = this.#deps;
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
      return nodeView({ ...found, ...this.#knowledgeOf(name) }, now());
    });
  }

  links(): LinkView[] {
    const { spec, board } = this.#deps;
    return spec.links.map((link) => linkView(link, (node) => this.#knowledgeOf(node), board.view(link.id)));
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
