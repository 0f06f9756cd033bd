import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { pause, type Clock } from '../clock.ts';
import type { NodeEvent } from '../control/report.ts';
import { messageOf } from '../errors.ts';
import { createCsr } from '../identity/csr.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { generatePrivateKey, type KeyKind } from '../identity/keys.ts';
import type { MeshAuthority, renew, Renewed } from '../identity/renew.ts';
import type { CertificatePurpose } from '../identity/renewal.ts';
import type { Logger } from '../log.ts';
import type { CertificateStatus } from './api.ts';
import { fallenBack, proven, renewed, withNextKey, withoutNextKey, type HeldCertificate } from './held-certificate.ts';
import { LocalRefusal } from './local-server.ts';
import { jitterOf, RENEWAL_GAP_MS, renewalTimeMs, validityOf } from './renewal-time.ts';
import type { NodeIdentity } from './stored.ts';

/** After attempts that came to nothing. Long, as a certificate has days left; not so long that one that has expired waits. */
const BACKOFF: BackoffPolicy = { baseMs: 10_000, maxMs: 10 * 60_000 };
/** The coordinator may ask for more time than that. Not for more than this: its clock, or its mind, may have been another one. */
const RETRY_AFTER_MAX_MS = 86_400_000;
/** It is looked at least so often what the wall clock says: it may have been set, or the machine may have slept. */
const LOOK_EVERY_MS = 5 * 60_000;
const TIMEOUT_MS = 30_000;
/** After a disk that did not take that a certificate has worked. */
const SAVE_AGAIN_MS = 10_000;
/** So long before its end a CA that nobody replaces is a problem worth showing. */
const CA_WARNING_MS = 180 * 86_400_000;

export interface RenewalsDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Kind of the keys for IKE. */
  readonly keyType: KeyKind;
  /** Which of the two it renews, if the node has them. */
  readonly purposes: readonly CertificatePurpose[];
  /** Undefined before enrolment. */
  readonly identity: () => NodeIdentity | undefined;
  /** Returns when the identity is on disk and in force; throws when it cannot be written. */
  readonly save: (identity: NodeIdentity) => void;
  /** The node shows itself by another certificate now. */
  readonly changed: (purpose: CertificatePurpose) => void;
  readonly onEvent: (event: NodeEvent) => void;
  /** Asks the coordinator. */
  readonly renew: typeof renew;
}

/** What came of the last attempts to renew one certificate. */
interface Attempts {
  failures: number;
  /** Monotonic; nothing is tried before. */
  notBeforeMs: number;
  /** Why the last attempt came to nothing. */
  problem: string | null;
}

/** A certificate that has worked, which the disk did not take. */
interface Unsaved {
  readonly key: string;
  /** Monotonic. */
  readonly saveAtMs: number;
  readonly problem: string;
}

interface CertificateTimes {
  readonly certificate: string;
  readonly notAfterMs: number;
  readonly renewalAtMs: number;
}

/** What the coordinator said of the certificate that is in use. */
type Verdict = 'accepted' | 'refused';

const NAMES: Readonly<Record<CertificatePurpose, string>> = { channel: 'channel certificate', ike: 'IKE certificate' };

/**
 * Renews the node's two certificates, each when about half of its life is over, with a new key each time. What was before
 * stays on disk until the new one has worked: for the channel, when a control channel was opened with it; for IKE, when
 * charon holds it, because charon uses the newest from then on.
 */
export class Renewals {
  readonly #deps: RenewalsDeps;
  readonly #attempts: Readonly<Record<CertificatePurpose, Attempts>> = { channel: untried(), ike: untried() };
  readonly #unsaved = new Map<CertificatePurpose, Unsaved>();
  readonly #times: Partial<Record<CertificatePurpose, CertificateTimes>> = {};
  #verdict: Verdict = 'accepted';
  #underWay: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(deps: RenewalsDeps) {
    this.#deps = deps;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#saveAgain();
      for (const purpose of this.#deps.purposes) {
        if (this.#waitMs(purpose) <= 0) await this.#inTurn(() => this.#attempt(purpose, signal));
      }
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      const waits = this.#deps.purposes.map((purpose) => this.#waitMs(purpose));
      const waitMs = Math.min(LOOK_EVERY_MS, this.#saveInMs(), ...waits);
      await pause(Math.max(0, waitMs), AbortSignal.any([signal, woken.signal]));
    }
  }

  /** Renews both now, whatever their age. Rejects with a LocalRefusal when one of them could not be. */
  async renewNow(signal: AbortSignal): Promise<readonly CertificateStatus[]> {
    for (const purpose of this.#deps.purposes) {
      if (this.#deps.identity()?.[purpose] === undefined) continue;
      if (await this.#inTurn(() => this.#attempt(purpose, signal))) continue;
      const problem = this.#attempts[purpose].problem ?? 'not renewed, the agent stops or was enrolled anew';
      throw new LocalRefusal(502, 'not-renewed', `${NAMES[purpose]}: ${problem}`);
    }
    return this.status;
  }

  /** The node was enrolled: what was tried before was for another identity. */
  enrolled(): void {
    for (const purpose of this.#deps.purposes) Object.assign(this.#attempts[purpose], untried());
    this.#unsaved.clear();
    this.#verdict = 'accepted';
    this.#wake();
  }

  /** What is in use for this purpose has worked, if it is still this key: what it replaced may go. */
  worked(purpose: CertificatePurpose, key: string): void {
    const held = this.#deps.identity()?.[purpose];
    this.#unsaved.delete(purpose);
    if (held?.key !== key) return;
    if (purpose === 'channel') this.#verdict = 'accepted';
    const problem = held.former && this.#tryToSave(purpose, proven(held));
    if (problem === undefined) return;
    this.#unsaved.set(purpose, { key, problem, saveAtMs: this.#deps.clock.monotonicMs() + SAVE_AGAIN_MS });
    this.#wake();
  }

  /**
   * The coordinator does not let the node in by this channel certificate. The one before it is taken again if there is
   * one; else it may be that only its time is over, by the coordinator's clock at least.
   */
  refused(key: string): void {
    const held = this.#deps.identity()?.channel;
    if (held?.key !== key) return;
    if (this.#fallBack(held)) return;
    this.#verdict = 'refused';
    this.#wake();
  }

  get status(): readonly CertificateStatus[] {
    const identity = this.#deps.identity();
    if (identity === undefined) return [];
    return this.#deps.purposes.flatMap((purpose) => {
      const held = identity[purpose];
      if (held === undefined) return [];
      const { notAfterMs, renewalAtMs } = this.#timesOf(purpose, held.certificate);
      // What a clock that was wrong made of it is over when the clock is right.
      const problem = this.#dueInMs(purpose) <= 0 ? this.#attempts[purpose].problem : null;
      return [{ purpose, notAfterMs, renewalAtMs, problem }];
    });
  }

  /** In words, with what to do. */
  get problems(): readonly string[] {
    const identity = this.#deps.identity();
    if (identity === undefined) return [];
    return [
      ...this.status.flatMap((status) => this.#problemsOf(status)),
      ...[...this.#unsaved].map(
        ([purpose, { problem }]) => `the ${NAMES[purpose]} has worked, which is not on disk: ${problem}`,
      ),
      ...this.#caProblems(identity),
    ];
  }

  #problemsOf({ purpose, notAfterMs, problem }: CertificateStatus): string[] {
    const hasExpired = notAfterMs <= this.#deps.clock.nowMs();
    if (problem === null && !hasExpired) return [];
    const end = `${hasExpired ? 'has expired' : 'is valid until'} ${timeText(notAfterMs)}`;
    const consequence = hasExpired ? `; ${CONSEQUENCES[purpose]}` : '';
    return [`the ${NAMES[purpose]} ${end}${consequence}: ${problem ?? 'it is being renewed'}`];
  }

  #caProblems({ ca }: NodeIdentity): string[] {
    const { toMs } = validityOf(ca);
    if (toMs - this.#deps.clock.nowMs() > CA_WARNING_MS) return [];
    return [`the mesh CA is valid until ${timeText(toMs)}, and no certificate beyond that: see docs/certificates.md`];
  }

  /** Ms until this certificate is to be renewed; infinite when there is none. */
  #dueInMs(purpose: CertificatePurpose): number {
    const held = this.#deps.identity()?.[purpose];
    if (held === undefined) return Number.POSITIVE_INFINITY;
    if (purpose === 'channel' && this.#verdict === 'refused') return 0;
    return this.#timesOf(purpose, held.certificate).renewalAtMs - this.#deps.clock.nowMs();
  }

  /** Read once: it is looked at all the time. */
  #timesOf(purpose: CertificatePurpose, certificate: string): CertificateTimes {
    const known = this.#times[purpose];
    if (known?.certificate === certificate) return known;
    const validity = validityOf(certificate);
    const renewalAtMs = renewalTimeMs(validity, jitterOf(certificate));
    const times = { certificate, notAfterMs: validity.toMs, renewalAtMs };
    this.#times[purpose] = times;
    return times;
  }

  /** Ms until it is to be tried. */
  #waitMs(purpose: CertificatePurpose): number {
    const { clock } = this.#deps;
    return Math.max(this.#dueInMs(purpose), this.#attempts[purpose].notBeforeMs - clock.monotonicMs());
  }

  #saveAgain(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const due = [...this.#unsaved].filter(([, { saveAtMs }]) => saveAtMs <= nowMs);
    for (const [purpose, { key }] of due) this.worked(purpose, key);
  }

  #saveInMs(): number {
    const times = [...this.#unsaved.values()].map(({ saveAtMs }) => saveAtMs);
    return Math.min(...times) - this.#deps.clock.monotonicMs();
  }

  /** One at a time: a person may ask while one is under way. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#underWay.then(work);
    this.#underWay = turn.catch(() => undefined);
    return turn;
  }

  /** True when it has worked. */
  async #attempt(purpose: CertificatePurpose, signal: AbortSignal): Promise<boolean> {
    const { clock, logger } = this.#deps;
    const attempts = this.#attempts[purpose];
    try {
      if (!(await this.#renew(purpose, signal))) return false;
      // By a clock that is wrong the new one may be as old as the last: that must not go on without end.
      Object.assign(attempts, { failures: 0, notBeforeMs: clock.monotonicMs() + RENEWAL_GAP_MS, problem: null });
      logger.info({ purpose }, 'certificate renewed');
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      attempts.failures += 1;
      const backoff = backoffMs(attempts.failures, BACKOFF, this.#deps.random);
      attempts.notBeforeMs = clock.monotonicMs() + Math.max(backoff, askedToWaitMs(error));
      attempts.problem = this.#explain(error);
      logger.warn({ purpose, attempt: attempts.failures, err: error }, 'certificate not renewed');
      if (attempts.failures === 1) this.#event(`${NAMES[purpose]}: ${attempts.problem}`);
      return false;
    }
  }

  /** False when there is nothing to renew any more. */
  async #renew(purpose: CertificatePurpose, signal: AbortSignal): Promise<boolean> {
    const identity = await this.#withNextKey(purpose);
    const nextKey = identity?.[purpose]?.nextKey;
    if (identity === undefined || nextKey === undefined) return false;
    const { coordinatorUrl, ca, channel } = identity;
    const nowMs = this.#deps.clock.nowMs();
    try {
      const csr = await createCsr(nextKey);
      const request = { coordinatorUrl, ca, channel, purpose, csr, nowMs, signal, timeoutMs: TIMEOUT_MS };
      return this.#take(purpose, nextKey, await this.#deps.renew(request));
    } catch (error) {
      if (error instanceof IdentityError) this.#learn(purpose, identity, error);
      throw error;
    }
  }

  /** The identity with a key for the next certificate, on disk. */
  async #withNextKey(purpose: CertificatePurpose): Promise<NodeIdentity | undefined> {
    const { identity, keyType, save } = this.#deps;
    const kind = purpose === 'ike' ? keyType : 'ecdsa-p256';
    if (identity()?.[purpose]?.nextKey === undefined) {
      const nextKey = await generatePrivateKey(kind);
      const now = identity();
      const held = now?.[purpose];
      if (now !== undefined && held !== undefined) save({ ...now, [purpose]: withNextKey(held, nextKey) });
    }
    return identity();
  }

  /** False when the node was enrolled anew meanwhile: the certificate is of a past life. */
  #take(purpose: CertificatePurpose, nextKey: string, { certificate, authority }: Renewed): boolean {
    const { identity, save, changed } = this.#deps;
    const now = identity();
    const held = now?.[purpose];
    if (now === undefined || held?.nextKey !== nextKey) return false;
    save({ ...withAuthority(now, authority), [purpose]: renewed(held, nextKey, certificate) });
    if (purpose === 'channel') this.#verdict = 'accepted';
    this.#event(`${NAMES[purpose]} renewed, valid until ${timeText(validityOf(certificate).toMs)}`);
    changed(purpose);
    return true;
  }

  /** What a refusal says about what is on disk. */
  #learn(purpose: CertificatePurpose, { channel, [purpose]: asked }: NodeIdentity, { code }: IdentityError): void {
    const now = this.#deps.identity();
    const held = now?.[purpose];
    if (now === undefined || held === undefined) return;
    if (code === 'keys-refused' && held.nextKey === asked?.nextKey) this.#tryToSave(purpose, withoutNextKey(held));
    if (code === 'not-recognised' && now.channel.key === channel.key) this.#fallBack(now.channel);
  }

  #fallBack(held: HeldCertificate): boolean {
    if (held.former === undefined || this.#tryToSave('channel', fallenBack(held)) !== undefined) return false;
    this.#event(`the new ${NAMES.channel} is not accepted: the one before it is used again`);
    this.#deps.changed('channel');
    return true;
  }

  /** Why it could not be; undefined when it is on disk. */
  #tryToSave(purpose: CertificatePurpose, held: HeldCertificate): string | undefined {
    const now = this.#deps.identity();
    if (now === undefined) return 'the node is not enrolled';
    try {
      this.#deps.save({ ...now, [purpose]: held });
      return undefined;
    } catch (error) {
      this.#deps.logger.error({ err: error }, 'identity not written');
      return messageOf(error);
    }
  }

  #explain(error: unknown): string {
    const message = messageOf(error);
    const code = error instanceof IdentityError ? error.code : undefined;
    if (code === 'coordinator-unreachable') return `not renewed, the coordinator cannot be reached (${message})`;
    if (code !== 'not-recognised') return `not renewed: ${message}`;
    const node = this.#deps.identity()?.node ?? 'NODE';
    return `not renewed: ${message}; run "meshctl token create ${node}" there, and agentctl enroll --again here`;
  }

  #event(message: string): void {
    this.#deps.onEvent({
      atMs: this.#deps.clock.nowMs(),
      kind: 'certificate',
      connection: null,
      child: null,
      message,
    });
  }
}

/** What an expired one costs. */
const CONSEQUENCES: Readonly<Record<CertificatePurpose, string>> = {
  channel: 'the coordinator cannot be asked for changes, tunnels stay as they are',
  ike: 'tunnels that are up stay, and no new one can be set up',
};

/** The mesh's CA may have been renewed since; the one before it is not needed beside it, for both have one key. */
function withAuthority(identity: NodeIdentity, authority: MeshAuthority | undefined): NodeIdentity {
  if (authority === undefined) return identity;
  const { chain: _before, ...rest } = identity;
  return { ...rest, ...authority };
}

function askedToWaitMs(error: unknown): number {
  const askedMs = error instanceof IdentityError ? error.retryAfterMs : undefined;
  return Math.min(askedMs ?? 0, RETRY_AFTER_MAX_MS);
}

function untried(): Attempts {
  return { failures: 0, notBeforeMs: 0, problem: null };
}

function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
