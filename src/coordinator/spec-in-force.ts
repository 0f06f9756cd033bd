import { encodeFrame } from '../control/codec.ts';
import { FrameError } from '../control/frame-error.ts';
import type { CoordinatorFrame } from '../control/frames.ts';
import { mediationIdentity } from '../identity/names.ts';
import type { NodeName } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { digestOf } from '../json.ts';
import { formatMistake } from '../yaml-document.ts';
import type { RevocationStore } from './revocation-store.ts';
import type { ApplyReply } from './api.ts';
import type { Attempt, AuditDetails } from './audit-log.ts';
import { compileMesh, emptyState, type MeshIdentity } from './compile-mesh.ts';
import { allocateMeshAddresses } from './mesh-addresses.ts';
import type { MediatedLink } from './link-hints.ts';
import { changeOf } from './mesh-changes.ts';
import type { MeshSpec } from './mesh-spec.ts';
import type { ApplyOutcome, Compiled, MeshStore, SpecRevision, StateVersion, VersionedState } from './mesh-store.ts';
import { parseMeshSpec } from './parse-mesh-spec.ts';
import { planTopology, type PlannedLink } from './topology.ts';

/** A text that is no mesh spec, or one that cannot be carried out. Nothing was changed. */
export class SpecRefused extends Error {
  override readonly name = 'SpecRefused';
  /** One line each: `line 12: links[1]: unknown node "egde1"`. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super('the mesh spec was refused');
    this.mistakes = mistakes;
  }
}

/** A spec with everything that follows from it. */
interface Draft extends Compiled {
  readonly text: string;
  /** As it was written, with nodes that are revoked. */
  readonly spec: MeshSpec;
  /** The links between nodes that are not. */
  readonly links: readonly PlannedLink[];
}

/** Runs the change of the store, with what else belongs into its transaction. */
type Commit = (change: () => ApplyOutcome) => ApplyOutcome;

/** The mesh spec that the coordinator works by, and each node's state in its current version. */
export class SpecInForce {
  readonly #store: MeshStore;
  readonly #identity: MeshIdentity;
  readonly #revocations: Pick<RevocationStore, 'inForce'>;
  #revision: SpecRevision | undefined;
  #versions: ReadonlyMap<NodeName, StateVersion>;
  #nodes: MeshSpec['nodes'] = new Map();
  #links: readonly PlannedLink[] = [];

  /** With the stored spec, if there is one: see {@link recompile}. */
  constructor(store: MeshStore, identity: MeshIdentity, revocations: Pick<RevocationStore, 'inForce'>) {
    this.#store = store;
    this.#identity = identity;
    this.#revocations = revocations;
    this.#revision = store.currentSpec();
    this.#versions = store.versions();
  }

  /** Undefined until a spec was applied. */
  get revision(): SpecRevision | undefined {
    return this.#revision;
  }

  /** With those that are revoked. */
  get nodes(): ReadonlySet<NodeName> {
    return new Set(this.#nodes.keys());
  }

  groupsOf(node: NodeName): readonly string[] {
    return this.#nodes.get(node)?.groups ?? [];
  }

  get links(): readonly PlannedLink[] {
    return this.#links;
  }

  get mediatedLinks(): readonly MediatedLink[] {
    const endOf = (node: NodeName): MediatedLink['ends'][0] => ({
      node,
      mediationId: mediationIdentity(this.#identity.subject, node),
    });
    return this.#links
      .filter(({ mediators }) => mediators.length > 0)
      .map(({ id, ends, mediators }) => ({ id, ends: [endOf(ends[0]), endOf(ends[1])], mediators }) as const);
  }

  /** Undefined for a node that was never part of a spec: there is nothing to tell it. */
  versionOf(node: NodeName): StateVersion | undefined {
    return this.#versions.get(node);
  }

  stateOf(node: NodeName): VersionedState | undefined {
    return this.#store.state(node);
  }

  /** What {@link apply} would change. Throws a SpecRefused. */
  plan(text: string): ApplyReply['changed'] {
    const { states } = this.#draft(text);
    return this.#changes(states, this.#store.changes(states));
  }

  /** Puts a spec into force, and records that with it. Throws a SpecRefused. */
  apply(text: string, nowMs: number, attempt: Attempt): ApplyOutcome & { readonly changes: ApplyReply['changed'] } {
    const draft = this.#draft(text);
    const changes = this.#changes(draft.states, this.#store.changes(draft.states));
    const commit: Commit = (change) => attempt.commit(change, countsOf);
    return { ...this.#putIntoForce(draft, nowMs, commit), changes };
  }

  /**
   * Compiles the stored spec again: at start, as another version of the compiler may make something else of it, and when
   * nodes were revoked or readmitted. Returns the nodes whose state is another now. Throws a SpecRefused when it is no
   * longer a spec; nodes then still get the states that are stored.
   */
  recompile(nowMs: number): readonly NodeName[] {
    if (this.#revision === undefined) return [];
    return this.#putIntoForce(this.#draft(this.#revision.text), nowMs, (change) => change()).changed;
  }

  #draft(text: string): Draft {
    const parsed = parseMeshSpec(text);
    if (!parsed.ok) throw new SpecRefused(parsed.mistakes.map(formatMistake));
    const addresses = allocateMeshAddresses(parsed.spec, this.#store.addresses());
    const barred = this.#revocations.inForce().map(({ node }) => node);
    const remaining = withoutNodes(parsed.spec, new Set(barred));
    const states = new Map(compileMesh(remaining, this.#identity, addresses, barred));
    for (const node of this.#versions.keys()) {
      if (!states.has(node)) states.set(node, emptyState(this.#identity.mesh, node));
    }
    const tooLarge = [...states.values()].flatMap((state) => transportProblem(state));
    if (tooLarge.length > 0) throw new SpecRefused(tooLarge);
    return { text, spec: parsed.spec, links: planTopology(remaining).links, states, addresses };
  }

  #changes(states: Draft['states'], nodes: readonly NodeName[]): ApplyReply['changed'] {
    return nodes.flatMap((node) => {
      const state = states.get(node);
      return state === undefined ? [] : [changeOf(this.#store.state(node)?.state, state)];
    });
  }

  #putIntoForce({ text, spec, links, ...compiled }: Draft, nowMs: number, commit: Commit): ApplyOutcome {
    const outcome = commit(() => this.#store.apply(text, compiled, nowMs));
    this.#revision = this.#store.currentSpec();
    this.#versions = this.#store.versions();
    this.#nodes = spec.nodes;
    this.#links = links;
    return outcome;
  }
}

function countsOf({ revision, changed }: ApplyOutcome): AuditDetails {
  return { revision, changedNodes: changed.length };
}

/** The spec as it would be without these nodes; links that lose their last path are left without one. */
function withoutNodes(spec: MeshSpec, nodes: ReadonlySet<NodeName>): MeshSpec {
  if (nodes.size === 0) return spec;
  return {
    ...spec,
    nodes: new Map([...spec.nodes].filter(([name]) => !nodes.has(name))),
    links: spec.links.filter(({ between }) => !between.some((end) => nodes.has(end))),
  };
}

/** The frame that carries a state to its node. */
export function snapshotFrame(epoch: string, { generation, digest, state }: VersionedState): CoordinatorFrame {
  return { type: 'snapshot', epoch, generation, digest, state };
}

/** A state that no frame can carry must not get into force: the node would never learn of any later one either. */
function transportProblem(state: DesiredState): string[] {
  try {
    encodeFrame(snapshotFrame('0'.repeat(64), { generation: Number.MAX_SAFE_INTEGER, digest: digestOf(''), state }));
    return [];
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return [`nodes.${state.node}: its part of the mesh is more than one frame can carry: ${error.message}`];
  }
}
