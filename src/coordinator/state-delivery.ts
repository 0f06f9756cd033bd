import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { epochNumber, epochSchema } from '../control/epoch.ts';
import type { AgentFrame } from '../control/frames.ts';
import type { SigningPublicKey } from '../control/signing-key.ts';
import type { Signed } from '../control/statement.ts';
import { messageOf } from '../errors.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import { SIGNATURES_PER_REQUEST, type SigningKeyReply, type UnsignedReply } from './api.ts';
import type { Attempt } from './audit-log.ts';
import type { IssuedStates } from './issued-states.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { Commit } from './signing-store.ts';

export interface StateDeliveryDeps {
  readonly mesh: string;
  readonly issued: IssuedStates;
  readonly keys: Pick<SigningKeys, 'current' | 'signer' | 'introductionsFor' | 'introduce' | 'rotate'>;
  readonly registry: NodeRegistry;
  /** Of the spec in force; no generation is above it. */
  readonly revision: () => number;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** Tells the operator. */
  readonly note: (node: NodeName | null, kind: string, message: string) => void;
}

/** Of signing what could not be signed; a full disk is not full for a moment. */
const RETRY: BackoffPolicy = { baseMs: 5000, maxMs: 60_000 };

/** What nodes are not told yet. */
export interface Waiting {
  /** Nodes whose wanted state is not signed as it has to be, by name. */
  readonly unsigned: NodeName[];
  /** Why the coordinator, which has the key, could not sign them; null when it is the operator's signature that they wait for. */
  readonly signingProblem: string | null;
}

/** A new key of the coordinator's own, one that the operator keeps, or the operator's word for that. */
export type SigningKeyChange = { readonly key?: SigningPublicKey } | { readonly introduction: Signed };

/** Brings each node that is here the state that is signed for it, in the shortest form, and the keys that signed it. */
export class StateDelivery {
  readonly #deps: StateDeliveryDeps;
  /** Of signing, since it last worked. */
  #failure: { readonly count: number; readonly message: string; readonly retryAtMs: number } | undefined;

  constructor(deps: StateDeliveryDeps) {
    this.#deps = deps;
  }

  /** Answers a hello. */
  greet(node: NodeName, hello: Extract<AgentFrame, { type: 'hello' }>): void {
    const { keys, registry } = this.#deps;
    this.#noteIfAhead(node, hello);
    const introductions = keys.introductionsFor(hello.keys);
    if (introductions.length > 0) registry.send(node, { type: 'keys', introductions: [...introductions] });
    registry.noteTold(node, { digest: hello.digest, isWhole: false });
    this.#tell(node);
  }

  /** A node could not make anything of the last delta: it gets the whole, once. */
  resend(node: NodeName, reason: string): void {
    const { registry, note } = this.#deps;
    if (registry.toldTo(node).isWhole) return;
    note(node, 'channel', `asks for its whole state: ${reason}`);
    registry.noteTold(node, { digest: null, isWhole: true });
    this.#tell(node);
  }

  /** Signs what is to be signed, where the key is here, and tells the nodes that are. What the disk does not take is tried again. */
  issue(): void {
    for (const node of this.#sign()) this.#tell(node);
  }

  /** Signs what could not be signed, if it is time to try again. To be called every few seconds. */
  retry(): void {
    if (this.#failure !== undefined && this.#deps.clock.monotonicMs() >= this.#failure.retryAtMs) this.issue();
  }

  waiting(): Waiting {
    const { issued, clock } = this.#deps;
    return { unsigned: [...issued.pending(clock.nowMs())], signingProblem: this.signingProblem };
  }

  /** See {@link Waiting}. */
  get signingProblem(): string | null {
    return this.#failure?.message ?? null;
  }

  /** States that wait for the operator's signature, of the nodes after that one. */
  unsigned(after: string): UnsignedReply {
    const { mesh, issued, keys, clock } = this.#deps;
    const waiting = issued.pending(clock.nowMs()).filter((node) => node > after);
    const states = waiting.slice(0, SIGNATURES_PER_REQUEST).flatMap((node) => {
      const pending = issued.pendingState(node);
      if (pending === undefined) return [];
      const { generation, allowMassRemoval, text } = pending;
      const former = pending.issued && { signed: pending.issued.signed, state: pending.issued.state };
      return [{ node, generation, allowMassRemoval, text, issued: former ?? null }];
    });
    return { mesh, epoch: issued.epoch, key: keys.current, states, more: waiting.length > states.length };
  }

  /** Takes the operator's signatures. Throws a SignaturesRefused. */
  sign(signatures: readonly Signed[], attempt: Attempt): readonly NodeName[] {
    const { issued, clock, note } = this.#deps;
    attempt.about(null, { signatures: signatures.length });
    const nodes = issued.take(signatures, clock.nowMs(), (change) => attempt.commit(change));
    note(null, 'signing', `states of ${nodes.length} nodes were signed`);
    for (const node of nodes) this.#tell(node);
    return nodes;
  }

  signingKey(): SigningKeyReply {
    const { mesh, keys } = this.#deps;
    const { unsigned, signingProblem } = this.waiting();
    return {
      mesh,
      key: keys.current,
      offline: keys.signer === undefined,
      unsigned: unsigned.length,
      signingProblem,
    };
  }

  /** A new key signs from now on, introduced by the present one. Throws a SigningError. */
  changeKey(change: SigningKeyChange, attempt: Attempt): SigningKeyReply {
    const { keys, registry, note } = this.#deps;
    const former = keys.current;
    attempt.about(former);
    const commit: Commit = (write) => attempt.commit(write);
    if ('introduction' in change) keys.introduce(change.introduction, commit);
    else keys.rotate(this.#deps.clock.nowMs(), change.key, commit);
    note(null, 'signing', `signing key ${keys.current} takes the place of ${former}`);
    registry.sendToAll({ type: 'keys', introductions: [...keys.introductionsFor([former])] });
    this.issue();
    return this.signingKey();
  }

  /** The keys that a node has to trust for what it is to be told now. */
  keysFor(node: NodeName): SigningPublicKey[] {
    const { issued, keys } = this.#deps;
    const signedWith = issued.keyOf(node);
    return signedWith === undefined || signedWith === keys.current ? [keys.current] : [keys.current, signedWith];
  }

  /** Returns the nodes that have something new to be told. The change that they follow from is in force in any case. */
  #sign(): readonly NodeName[] {
    const { issued, clock, random, logger, note } = this.#deps;
    try {
      const nodes = issued.issue(clock.nowMs());
      if (this.#failure !== undefined && nodes.length > 0)
        note(null, 'signing', 'the states that could not be signed are signed');
      this.#failure = undefined;
      return nodes;
    } catch (error) {
      const message = messageOf(error);
      const count = (this.#failure?.count ?? 0) + 1;
      logger.error({ err: error, attempt: count }, 'states could not be signed');
      if (count === 1)
        note(null, 'signing', `states could not be signed, and nodes are not told of them yet: ${message}`);
      this.#failure = { count, message, retryAtMs: clock.monotonicMs() + backoffMs(count, RETRY, random) };
      return [];
    }
  }

  #tell(node: NodeName): void {
    const { issued, registry } = this.#deps;
    if (registry.channelOf(node) === undefined) return;
    const offer = issued.offerFor(node, registry.toldTo(node).digest);
    if (offer === undefined) return;
    registry.send(node, offer);
    const digest = issued.statementFor(node)?.digest ?? null;
    registry.noteTold(node, { digest, isWhole: offer.type === 'snapshot' });
  }

  /** A coordinator with an old database, that was not told so, is found out by its nodes. */
  #noteIfAhead(node: NodeName, { epoch, generation }: Extract<AgentFrame, { type: 'hello' }>): void {
    const { issued, revision, note } = this.#deps;
    const parsed = epochSchema.safeParse(epoch);
    if (!parsed.success) return;
    const isKnown =
      parsed.data === issued.epoch ? generation <= revision() : epochNumber(parsed.data) < epochNumber(issued.epoch);
    if (isKnown) return;
    const what = `generation ${generation} of epoch ${parsed.data}`;
    note(
      node,
      'epoch',
      `holds ${what}, which this coordinator has never made: its database is an old one and needs a new epoch`,
    );
  }
}
