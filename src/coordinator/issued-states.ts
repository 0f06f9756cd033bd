import type { Epoch } from '../control/epoch.ts';
import type { CoordinatorFrame } from '../control/frames.ts';
import { SigningError } from '../control/signing-error.ts';
import type { SigningPublicKey } from '../control/signing-key.ts';
import {
  openStatement,
  signStatement,
  stateStatementSchema,
  type Signed,
  type StateStatement,
} from '../control/statement.ts';
import type { NodeName } from '../ike/connection.ts';
import { diffStates, type JsonObject } from '../ike/state-delta.ts';
import { digestOf } from '../json.ts';
import type { MeshStore, StateVersion } from './mesh-store.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Commit, IssuedState, SigningStore } from './signing-store.ts';

/** A delta is sent when it is at most this share of the whole. */
const DELTA_SHARE_MAX = 0.5;

/** Signatures of the operator's that do not fit what waits for them. Nothing was changed. */
export class SignaturesRefused extends Error {
  override readonly name = 'SignaturesRefused';
  /** One line for each. */
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super('signatures were refused');
    this.reasons = reasons;
  }
}

/** A state that waits for the operator's signature, and the one that the node may be told until then. */
export interface PendingState extends StateVersion {
  readonly node: NodeName;
  readonly text: string;
  readonly issued: Pick<IssuedState, 'signed' | 'state'> | undefined;
}

interface Issued {
  readonly statement: StateStatement;
  readonly signed: Signed;
}

export interface IssuedStatesDeps {
  readonly mesh: string;
  readonly states: Pick<MeshStore, 'versions' | 'state'>;
  readonly store: Pick<SigningStore, 'epoch' | 'isHeldBack' | 'statements' | 'issued' | 'issue'>;
  readonly keys: Pick<SigningKeys, 'current' | 'signer'>;
}

/**
 * The states that nodes may be told: signed, for the present epoch. What the mesh spec comes to gets here as soon as it is
 * signed, which is at once where the coordinator has the key.
 */
export class IssuedStates {
  readonly #deps: IssuedStatesDeps;
  readonly #issued: Map<NodeName, Issued>;
  readonly epoch: Epoch;
  #isHeldBack: boolean;

  constructor(deps: IssuedStatesDeps) {
    this.#deps = deps;
    this.epoch = deps.store.epoch;
    this.#isHeldBack = deps.store.isHeldBack;
    this.#issued = new Map([...deps.store.statements()].map(([node, signed]) => [node, issuedOf(signed)]));
  }

  /** After a restore, until a spec is applied. */
  get isHeldBack(): boolean {
    return this.#isHeldBack;
  }

  statementFor(node: NodeName): StateStatement | undefined {
    return this.#issued.get(node)?.statement;
  }

  /** The key that signed what the node is told. */
  keyOf(node: NodeName): SigningPublicKey | undefined {
    return this.#issued.get(node)?.signed.key;
  }

  /** Nodes whose wanted state is not signed as it has to be, by name. */
  pending(nowMs: number): readonly NodeName[] {
    return [...this.#pending(nowMs).keys()].sort();
  }

  pendingState(node: NodeName): PendingState | undefined {
    const wanted = this.#deps.states.state(node);
    return wanted && { node, ...wanted, issued: this.#deps.store.issued(node) };
  }

  /** The store holds nothing back any more: a spec was applied. */
  released(): void {
    this.#isHeldBack = false;
  }

  /** Signs what is pending, where the key is here. Returns the nodes that have something new to be told. */
  issue(nowMs: number): readonly NodeName[] {
    const { signer } = this.#deps.keys;
    if (signer === undefined) return [];
    const pending = [...this.#pending(nowMs)];
    this.#put(
      pending.map(([node, wanted]) => [node, signStatement(this.#statementOf(node, wanted, nowMs), signer)] as const),
    );
    return pending.map(([node]) => node);
  }

  /** Takes signatures of pending states, all or none. Returns the nodes. Throws a SignaturesRefused. */
  take(signatures: readonly Signed[], nowMs: number, commit: Commit): readonly NodeName[] {
    const pending = this.#pending(nowMs);
    const opened = signatures.map((signed) => this.#opened(signed, pending, nowMs));
    const reasons = opened.filter((each) => typeof each === 'string');
    if (reasons.length > 0) throw new SignaturesRefused(reasons);
    const entries = opened.filter((each) => typeof each !== 'string');
    this.#put(entries, commit);
    return entries.map(([node]) => node);
  }

  /** What tells a node its state, given the digest of the one that it holds. Undefined while there is nothing to tell. */
  offerFor(node: NodeName, heldDigest: string | null): CoordinatorFrame | undefined {
    const statement = this.statementFor(node);
    if (statement?.digest === heldDigest) return this.#unchanged(node);
    const issued = statement && this.#deps.store.issued(node);
    if (issued === undefined) return undefined;
    const { signed, state, delta } = issued;
    if (delta !== undefined && delta.base === heldDigest) {
      return { type: 'delta', signed, base: delta.base, delta: delta.text };
    }
    return { type: 'snapshot', signed, state };
  }

  #unchanged(node: NodeName): CoordinatorFrame | undefined {
    const issued = this.#issued.get(node);
    return issued && { type: 'unchanged', signed: issued.signed };
  }

  #pending(nowMs: number): ReadonlyMap<NodeName, StateVersion> {
    if (this.#isHeldBack) return new Map();
    return new Map([...this.#deps.states.versions()].filter(([node, wanted]) => !this.#isIssued(node, wanted, nowMs)));
  }

  #isIssued(node: NodeName, wanted: StateVersion, nowMs: number): boolean {
    const issued = this.#issued.get(node);
    if (issued === undefined) return false;
    const { statement, signed } = issued;
    return (
      signed.key === this.#deps.keys.current &&
      statement.epoch === this.epoch &&
      statement.generation === wanted.generation &&
      statement.digest === wanted.digest &&
      (statement.allowMassRemoval || !wanted.allowMassRemoval) &&
      (statement.notAfterMs === null || nowMs < statement.notAfterMs)
    );
  }

  #statementOf(node: NodeName, wanted: StateVersion, nowMs: number): StateStatement {
    const { generation, digest, allowMassRemoval } = wanted;
    return {
      kind: 'state',
      mesh: this.#deps.mesh,
      node,
      epoch: this.epoch,
      generation,
      digest,
      issuedAtMs: nowMs,
      notAfterMs: null,
      allowMassRemoval,
    };
  }

  /** Why a signature is refused, or the node that it is for. */
  #opened(
    signed: Signed,
    pending: ReadonlyMap<NodeName, StateVersion>,
    nowMs: number,
  ): string | readonly [NodeName, Signed] {
    try {
      const statement = openStatement(signed, [this.#deps.keys.current], stateStatementSchema);
      const node = statement.node as NodeName;
      const version = pending.get(node);
      if (version === undefined) return `${node}: no state of it waits for a signature`;
      const { issuedAtMs, notAfterMs } = statement;
      const wanted = { ...this.#statementOf(node, version, issuedAtMs), notAfterMs };
      if (digestOf(statement) !== digestOf(wanted)) return `${node}: another state waits by now; sign again`;
      if (notAfterMs !== null && notAfterMs <= Math.max(nowMs, issuedAtMs)) return `${node}: it has expired already`;
      return [node, signed];
    } catch (error) {
      if (error instanceof SigningError) return error.message;
      throw error;
    }
  }

  #put(entries: readonly (readonly [NodeName, Signed])[], commit: Commit = (change) => change()): void {
    const states = entries.map(([node, signed]) => [node, this.#issuedState(node, signed)] as const);
    commit(() => this.#deps.store.issue(states));
    for (const [node, signed] of entries) this.#issued.set(node, issuedOf(signed));
  }

  #issuedState(node: NodeName, signed: Signed): IssuedState {
    const wanted = this.#deps.states.state(node);
    if (wanted === undefined) throw new TypeError(`no stored state for ${node}`);
    const former = this.#deps.store.issued(node);
    const formerDigest = this.statementFor(node)?.digest;
    if (former === undefined || formerDigest === undefined) return { signed, state: wanted.text, delta: undefined };
    if (formerDigest === wanted.digest) return { ...former, signed };
    const text = diffStates(JSON.parse(former.state) as JsonObject, JSON.parse(wanted.text) as JsonObject);
    const isWorthIt = text.length <= wanted.text.length * DELTA_SHARE_MAX;
    return { signed, state: wanted.text, delta: isWorthIt ? { base: formerDigest, text } : undefined };
  }
}

/** Of a statement that was checked before it was stored. */
function issuedOf(signed: Signed): Issued {
  return { signed, statement: stateStatementSchema.parse(JSON.parse(signed.text)) };
}
