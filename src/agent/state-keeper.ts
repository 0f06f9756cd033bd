import type { Clock } from '../clock.ts';
import type { CoordinatorFrame } from '../control/frames.ts';
import { SigningError } from '../control/signing-error.ts';
import type { SigningPublicKey } from '../control/signing-key.ts';
import { messageOf } from '../errors.ts';
import type { StateFile } from './disk.ts';
import { StateFileError } from './disk.ts';
import { acceptState, heldStateOf, type Acceptance, type HeldState, type StateFrame } from './state-acceptance.ts';
import { pinnedTrust, trustWithHeld, withNextKeys, type PinnedKeys, type StateTrust } from './state-trust.ts';
import type { StoredState } from './stored.ts';

export interface StateKeeperDeps {
  readonly clock: Clock;
  readonly desiredFile: Pick<StateFile<StoredState>, 'write' | 'readEither'>;
  readonly trustFile: Pick<StateFile<StateTrust>, 'write' | 'readEither'>;
  /** Who this node is; undefined before its first enrolment. */
  readonly self: Pick<StateTrust, 'mesh' | 'node'> | undefined;
  /** A copy on disk that cannot be used; the other one may. */
  readonly onUnusable: (error: Error) => void;
}

/** What became of a frame; `changed` when the desired state is another one now. */
export type Receipt =
  | { readonly kind: 'changed' | 'confirmed' }
  | { readonly kind: 'refused' | 'resend'; readonly message: string };

/** The desired state of this node and whom it believes about it, in memory as on disk: what is not on disk does not count. */
export class StateKeeper {
  readonly #deps: StateKeeperDeps;
  #trust: StateTrust | undefined;
  #held: HeldState | undefined;
  #diskProblem: string | null = null;
  #refusal: string | null = null;
  #postponed: StateFrame | undefined;

  /** With what is on disk, as far as it can be used. */
  constructor(deps: StateKeeperDeps) {
    this.#deps = deps;
    const lost: string[] = [];
    const noteTo = (what: string) => (error: Error) => {
      lost.push(what);
      deps.onUnusable(error);
    };
    this.#trust = deps.trustFile.readEither((trust) => trustOf(deps.self, trust), noteTo('keys'));
    const trust = this.#trust;
    if (trust !== undefined) {
      this.#held = deps.desiredFile.readEither((stored) => heldStateOf(stored, trust), noteTo('state'));
      if (this.#held !== undefined) this.#trust = trustWithHeld(trust, this.#held.statement);
    }
    this.#diskProblem = this.#explainLoss(lost);
  }

  get held(): HeldState | undefined {
    return this.#held;
  }

  /** Newest first; none before the enrolment. */
  get keys(): readonly SigningPublicKey[] {
    return this.#trust?.keys ?? [];
  }

  /** The newest state, if only the disk or this node's clock speaks against it, which may change: to be received again. */
  get postponed(): StateFrame | undefined {
    return this.#postponed;
  }

  /** What is wrong with the desired state, in words. */
  get problems(): readonly string[] {
    return [this.#diskProblem, this.#refusal].filter((problem) => problem !== null);
  }

  /** What is to be believed after an enrolment: to be on disk before the identity is, and then {@link enrolled}. */
  pinned(keys: PinnedKeys): StateTrust {
    return pinnedTrust(keys, this.#trust, this.#held?.signed.key);
  }

  /** The node was enrolled; the trust that was pinned by that is on disk. The state stays until another one is taken. */
  enrolled(trust: StateTrust): void {
    this.#trust = trust;
    this.#diskProblem = null;
    this.#refusal = null;
  }

  /** All or nothing: what is refused changes nothing, on disk or in memory. */
  receive(frame: StateFrame): Receipt {
    const accepted = this.#accept(frame);
    if (accepted.kind === 'resend') return accepted;
    if (accepted.kind === 'refused') {
      this.#refusal = `a desired state of the coordinator was refused: ${accepted.message}`;
      return accepted;
    }
    this.#refusal = null;
    this.#diskProblem = null;
    return { kind: accepted.kind === 'taken' ? 'changed' : 'confirmed' };
  }

  /** Keys that came after the trusted one. Returns why they are refused, undefined when all is well. */
  introduce({ introductions }: Extract<CoordinatorFrame, { type: 'keys' }>): string | undefined {
    if (this.#trust === undefined) return 'this node trusts no key yet';
    try {
      const trust = withNextKeys(this.#trust, introductions, this.#held?.signed.key);
      if (trust !== this.#trust) this.#deps.trustFile.write(trust);
      this.#trust = trust;
      return undefined;
    } catch (error) {
      if (!(error instanceof SigningError || error instanceof StateFileError)) throw error;
      this.#refusal = `a new signing key was refused: ${error.message}`;
      return error.message;
    }
  }

  #accept(frame: StateFrame): Acceptance {
    this.#postponed = undefined;
    if (this.#trust === undefined) return { kind: 'refused', message: NO_KEYS };
    const accepted = acceptState(frame, { trust: this.#trust, held: this.#held }, this.#deps.clock.nowMs());
    if (accepted.kind === 'refused' && accepted.isOver === true) this.#postponed = frame;
    if (accepted.kind !== 'taken' && accepted.kind !== 'confirmed') return accepted;
    try {
      this.#write(accepted);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      this.#postponed = frame;
      return { kind: 'refused', message: messageOf(error) };
    }
    this.#held = accepted.held;
    this.#trust = accepted.trust;
    return accepted;
  }

  /** The state first: after a crash in between, its own place says how far the node has got. */
  #write({ held, trust }: Extract<Acceptance, { kind: 'taken' | 'confirmed' }>): void {
    const isNew = held.signed.text !== this.#held?.signed.text || held.signed.key !== this.#held.signed.key;
    if (isNew || this.#diskProblem !== null) {
      this.#deps.desiredFile.write({ signed: held.signed, state: held.text });
    }
    const { latest, keys } = this.#trust ?? {};
    const isNews =
      latest?.epoch !== trust.latest?.epoch ||
      latest?.generation !== trust.latest?.generation ||
      keys?.length !== trust.keys.length;
    if (isNews) this.#deps.trustFile.write(trust);
  }

  #explainLoss(lost: readonly string[]): string | null {
    if (lost.includes('keys') && this.#trust === undefined) return NO_KEYS;
    if (!lost.includes('state')) return null;
    if (this.#held === undefined) {
      return 'the desired state on disk is damaged, in both copies: charon is left as it is until the coordinator has sent it again';
    }
    const { generation } = this.#held.statement;
    return `the newest desired state on disk is damaged: generation ${generation} is in force until the coordinator has sent it again`;
  }
}

const NO_KEYS =
  'this node knows no signing key of its mesh, so that no desired state can be believed: enrol it again (agentctl enroll --again)';

/** A crash in the middle of an enrolment as another node leaves the trust of that one: this node still has the one before. */
function trustOf(self: StateKeeperDeps['self'], trust: StateTrust): StateTrust {
  if (self === undefined || (trust.mesh === self.mesh && trust.node === self.node)) return trust;
  throw new StateFileError(
    `the signing keys on disk are of ${trust.node} in mesh ${trust.mesh}, whose enrolment was not finished`,
  );
}
