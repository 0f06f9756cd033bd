import { encodeFrame } from '../control/codec.ts';
import { FrameError } from '../control/frame-error.ts';
import { publicKeySchema } from '../control/signing-key.ts';
import { STATEMENT_CHARACTERS_MAX, type Signed } from '../control/statement.ts';
import { mediationIdentity } from '../identity/names.ts';
import type { NodeName } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { massRemovalOf } from '../ike/mass-removal.ts';
import { changesBetween, storedStateSchema } from '../ike/state-changes.ts';
import { canonicalJson } from '../json.ts';
import { formatMistake } from '../yaml-document.ts';
import type { RevocationStore } from './revocation-store.ts';
import type { ApplyReply, MassRemoval, NodeChange } from './api.ts';
import type { Attempt, AuditDetails } from './audit-log.ts';
import { compileMesh, emptyState, type MeshIdentity } from './compile-mesh.ts';
import { allocateMeshAddresses } from './mesh-addresses.ts';
import type { MediatedLink } from './link-hints.ts';
import type { MeshSpec } from './mesh-spec.ts';
import type { ApplyOutcome, Compiled, MeshStore, SpecRevision, StateVersion } from './mesh-store.ts';
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

/** A spec that would take most of what a node has from it, and nobody said that this is meant. Nothing was changed. */
export class MassRemovalRefused extends Error {
  override readonly name = 'MassRemovalRefused';
  readonly removals: readonly MassRemoval[];

  constructor(removals: readonly MassRemoval[]) {
    super('a mass removal was refused');
    this.removals = removals;
  }
}

/** What a change does to each node that it concerns. */
export type Plan = Pick<ApplyReply, 'changed' | 'massRemovals'>;

export interface ApplyConsent {
  /** The operator says that nodes may lose most of what they have. */
  readonly allowMassRemoval: boolean;
  /** The node has the state that is in force now; until it has, a consent given before still holds. */
  readonly hasTaken: (node: NodeName, version: StateVersion) => boolean;
}

/** A spec with everything that follows from it. */
interface Draft extends Compiled {
  readonly text: string;
  /** As it was written, with nodes that are revoked. */
  readonly spec: MeshSpec;
  /** The links between nodes that are not. */
  readonly links: readonly PlannedLink[];
}

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
  get nodes(): Pick<ReadonlySet<NodeName>, 'has' | 'keys' | 'size'> {
    return this.#nodes;
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

  /** What {@link apply} would change. Throws a SpecRefused. */
  plan(text: string): Plan {
    return this.#planOf(this.#draft(text).states);
  }

  /** Puts a spec into force, and records that with it. Throws a SpecRefused or a MassRemovalRefused. */
  apply(
    text: string,
    nowMs: number,
    consent: ApplyConsent,
    attempt: Pick<Attempt, 'commit'>,
  ): ApplyOutcome & { readonly plan: Plan } {
    const draft = this.#draft(text);
    const plan = this.#planOf(draft.states);
    if (plan.massRemovals.length > 0 && !consent.allowMassRemoval) throw new MassRemovalRefused(plan.massRemovals);
    const mayRemove = (node: NodeName): boolean => consent.allowMassRemoval || this.#isStillAllowed(node, consent);
    const outcome = attempt.commit(() => this.#store.apply(text, draft, { nowMs, mayRemove }), countsOf);
    this.#adopt(draft);
    return { ...outcome, plan };
  }

  /**
   * Compiles the stored spec again: at start, as another version of the compiler may make something else of it, and when
   * nodes were revoked or readmitted. A consent is for the nodes that change by it. Within a transaction it is part of that;
   * what it returns is to be called afterwards. Throws a SpecRefused, before it has written anything, when it is no longer
   * a spec; nodes then still get the states that are stored.
   */
  recompile(nowMs: number, consent: ApplyConsent): () => void {
    if (this.#revision === undefined) return () => undefined;
    const draft = this.#draft(this.#revision.text);
    const changed = new Set(this.#store.changes(draft.states));
    const mayRemove = (node: NodeName): boolean =>
      (consent.allowMassRemoval && changed.has(node)) || this.#isStillAllowed(node, consent);
    this.#store.apply(draft.text, draft, { nowMs, mayRemove });
    return () => this.#adopt(draft);
  }

  #isStillAllowed(node: NodeName, { hasTaken }: ApplyConsent): boolean {
    const version = this.#versions.get(node);
    return version?.allowMassRemoval === true && !hasTaken(node, version);
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

  #planOf(states: Draft['states']): Plan {
    const changed: NodeChange[] = [];
    const massRemovals: MassRemoval[] = [];
    for (const node of this.#store.changes(states)) {
      const after = states.get(node);
      if (after === undefined) continue;
      const stored = this.#store.state(node);
      const before = stored === undefined ? undefined : storedStateSchema.parse(JSON.parse(stored.text));
      changed.push({ node, ...changesBetween(before, after) });
      const loss = before === undefined ? undefined : massRemovalOf(before, after);
      if (loss !== undefined) massRemovals.push({ node, loss });
    }
    return { changed, massRemovals };
  }

  /** The store has it. */
  #adopt({ spec, links }: Draft): void {
    this.#revision = this.#store.currentSpec();
    this.#versions = this.#store.versions();
    this.#nodes = spec.nodes;
    this.#links = links;
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

/** A state that no frame can carry must not get into force: the node would never learn of any later one either. */
function transportProblem(state: DesiredState): string[] {
  try {
    encodeFrame({ type: 'snapshot', signed: LARGEST_PROOF, state: canonicalJson(state) });
    return [];
  } catch (error) {
    if (!(error instanceof FrameError)) throw error;
    return [`nodes.${state.node}: its part of the mesh is more than one frame can carry: ${error.message}`];
  }
}

const LARGEST_PROOF: Signed = {
  text: ' '.repeat(STATEMENT_CHARACTERS_MAX),
  key: publicKeySchema.parse('A'.repeat(43)),
  signature: 'A'.repeat(86),
};
