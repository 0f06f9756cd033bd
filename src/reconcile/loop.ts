import type { Clock } from '../clock.ts';
import { childrenOf, type Connection } from '../ike/connection.ts';
import type { LocalState, Steering } from '../ike/steering.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';
import { executeStep, StepRefused, type Charon, type ObservedRoute, type ObservedState, type Step } from './charon.ts';
import { emptyLedger, isOfThisCharon, ledgerAfter, ledgerAfterRefusal, validLedger, type Ledger } from './ledger.ts';
import { nextAttempt, type Attempt } from './pace.ts';
import { fits, initiateKey, LEAVE_MS, paceKey, plan, type PlanInput } from './plan.ts';
import { isRoutedDirect, routeKey } from './routes.ts';
import { isTrappedDirect, trapKey } from './traps.ts';

/** What charon is to be brought to. */
export interface Target extends LocalState {
  /** Digest of the node's key, certificate and CAs; undefined while it has none that can be used. */
  readonly credentialsDigest: string | undefined;
  /** Digest of the list of revoked certificates; absent while there is none. */
  readonly crlDigest?: string;
  /** Digest of the load-conn request that a connection gives with these credentials; undefined without them. */
  readonly digestOf: PlanInput['digestOf'];
}

/** charon's "no" that stands. */
export interface Refusal {
  /** A connection's name, `credentials` or `crl`. */
  readonly resource: string;
  readonly step: 'load' | 'install' | 'initiate';
  readonly message: string;
}

export interface RoundResult {
  /** What the round worked towards. */
  readonly target: Target | undefined;
  readonly observed: ObservedState;
  /** The steps that charon accepted in this round, in order. */
  readonly done: readonly Step[];
  /** Links whose traffic goes into their direct tunnel after the round, among those whose traffic this node moves. */
  readonly direct: ReadonlySet<string>;
  readonly refusals: readonly Refusal[];
  /** Connections (and `credentials`, `crl`) that charon does not have as desired after this round. */
  readonly notLoaded: readonly string[];
  /** Ms until something that waits may be tried again; infinite when nothing waits. */
  readonly nextAttemptInMs: number;
}

export interface ReconcilerDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** The ledger that an earlier process of this agent left, if any. */
  readonly ledger: Ledger | undefined;
  /** Returns true when the ledger is on disk; with false the loop goes on, and asks again in the next round. */
  readonly saveLedger: (ledger: Ledger) => boolean;
}

/** What the paths want of a round. */
export interface PathWishes extends Pick<PlanInput, 'abandon' | 'rekey' | 'takesDirect'> {
  /** Whether a set-up (by `paceKey`) is wanted now. */
  readonly allows: (key: string) => boolean;
  /** Set-ups (by `paceKey`) whose tunnels packets have come through: the next one has no back-off, however soon it is. */
  readonly worked: ReadonlySet<string>;
  /** Ms until they want another round all the same; infinite: no hurry. */
  readonly lookInMs: number;
}

/** Called with each observation, before planning. */
export type Gate = (observed: ObservedState) => PathWishes;

/**
 * Brings charon to the target, round by round: observe everything, plan, execute, look again. Level-triggered: it
 * knows no events. A lost connection to charon ends a round with a rejection; the next one may have a new charon.
 */
export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #attempts = new Map<string, Attempt>();
  readonly #firstSeenMs = new Map<number, number>();
  readonly #unwantedSinceMs = new Map<number, number>();
  #digests = new Map<string, string | undefined>();
  /** What the digests are of. */
  #digested: Pick<Target, 'desired' | 'credentialsDigest'> | undefined;
  #ledger: Ledger | undefined;
  #isLedgerSaved = true;

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
    this.#ledger = deps.ledger;
  }

  /** One round. Without a target it only observes. A step that charon refuses does not keep the others. */
  async round(charon: Charon, target: Target | undefined, gate: Gate, signal: AbortSignal): Promise<RoundResult> {
    const observed = await charon.observe(signal);
    this.#note(observed, target);
    if (!this.#isLedgerSaved && this.#ledger !== undefined) this.#isLedgerSaved = this.#deps.saveLedger(this.#ledger);
    const wishes = gate(observed);
    for (const key of wishes.worked) this.#attempts.delete(key);
    const steps = target === undefined ? [] : this.#plan(target, observed, wishes);
    this.#announce(steps, observed);
    const done: Step[] = [];
    for (const step of steps) {
      if (!(await this.#execute(charon, step, signal))) continue;
      done.push(step);
      if (step.kind === 'load-conn') this.#letSettle(step.connection, observed);
    }
    const notLoaded = target === undefined ? [] : this.#notLoaded(target);
    const nextAttemptInMs = Math.min(this.#nextAttemptInMs(), wishes.lookInMs);
    const direct = linksInDirect(target?.steering ?? [], steeredAfter(observed, done));
    return { target, observed, done, direct, refusals: this.#refusals(), notLoaded, nextAttemptInMs };
  }

  /** Brings what is remembered into line with what is there now. */
  #note(observed: ObservedState, target: Target | undefined): void {
    const before = this.#ledger;
    this.#ledger = validLedger(before, observed);
    if (before !== undefined && !isOfThisCharon(before, observed)) {
      this.#firstSeenMs.clear();
      this.#unwantedSinceMs.clear();
      this.#attempts.clear();
    }
    noteSince(this.#firstSeenMs, observed.ikeSas, this.#deps.clock.monotonicMs());
    this.#noteUnwanted(observed.ikeSas, target);
    for (const ikeSa of observed.ikeSas.filter(isStable)) {
      this.#attempts.delete(initiateKey(ikeSa.name));
      const connection = target?.desired.connections.find(({ name }) => name === ikeSa.name);
      for (const child of connection === undefined ? [] : childrenOf(connection)) {
        // One with other selectors than configured is still to be replaced: its tries go on counting.
        const isUp = ikeSa.childSas.some(
          (childSa) => isStableChild(childSa) && childSa.name === child.name && fits(childSa, child),
        );
        if (isUp) this.#attempts.delete(initiateKey(ikeSa.name, child.name));
      }
    }
  }

  #noteUnwanted(ikeSas: readonly IkeSa[], target: Target | undefined): void {
    if (target === undefined) return;
    const wanted = new Set<string>(target.desired.connections.map(({ name }) => name));
    const unwanted = ikeSas.filter(({ name }) => !wanted.has(name));
    noteSince(this.#unwantedSinceMs, unwanted, this.#deps.clock.monotonicMs());
  }

  #plan(target: Target, observed: ObservedState, { allows, abandon, rekey, takesDirect }: PathWishes): readonly Step[] {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#forgetChanged(target);
    return plan({
      desired: target.desired,
      steering: target.steering,
      takesDirect,
      observed,
      ledger: this.#ledger ?? validLedger(undefined, observed),
      credentialsDigest: target.credentialsDigest,
      ...(target.crlDigest !== undefined && { crlDigest: target.crlDigest }),
      digestOf: (connection) => this.#digests.get(connection.name) ?? target.digestOf(connection),
      knownForMs: ({ uniqueId }) => nowMs - (this.#firstSeenMs.get(uniqueId) ?? nowMs),
      unwantedForMs: ({ uniqueId }) => nowMs - (this.#unwantedSinceMs.get(uniqueId) ?? nowMs),
      attemptsOf: (key) => this.#attempts.get(key)?.attempts ?? 0,
      abandon,
      rekey,
      allowed: (key) => allows(key) && (this.#attempts.get(key)?.notBeforeMs ?? 0) <= nowMs,
    });
  }

  /** A connection that has changed starts with a clean slate: its back-off was for what is gone. */
  #forgetChanged(target: Target): void {
    const { desired, steering, credentialsDigest } = target;
    if (this.#digested?.desired === desired && this.#digested.credentialsDigest === credentialsDigest) return;
    this.#digested = { desired, credentialsDigest };
    const digests = new Map(
      [...desired.connections, ...steering].map((each) => [each.name as string, target.digestOf(each)]),
    );
    for (const key of this.#attempts.keys()) {
      const connection = connectionOf(key);
      if (connection !== undefined && digests.get(connection) !== this.#digests.get(connection))
        this.#attempts.delete(key);
    }
    this.#digests = digests;
  }

  /** False when charon refused. */
  async #execute(charon: Charon, step: Step, signal: AbortSignal): Promise<boolean> {
    try {
      const keyId = await executeStep(charon.executors, step, signal);
      this.#record(step, keyId);
    } catch (thrown) {
      if (!(thrown instanceof StepRefused)) throw thrown;
      if (this.#ledger !== undefined) this.#write(ledgerAfterRefusal(this.#ledger, step));
      this.#noteAttempt(step, thrown.message);
      return false;
    }
    // A load is done when charon says so; a set-up only when its SA is seen.
    if (step.kind.startsWith('initiate')) this.#noteAttempt(step, undefined);
    else this.#attempts.delete(paceKey(step) ?? '');
    return true;
  }

  /**
   * The other end is to take its part of a change of selectors first: a charon with the old configuration narrows the new
   * CHILD SA to the old selectors, and that one then is in the way of the right one.
   */
  #letSettle(connection: Connection | Steering, { ikeSas }: ObservedState): void {
    const childSas = ikeSas.filter(({ name }) => name === connection.name).flatMap((ikeSa) => ikeSa.childSas);
    const notBeforeMs = this.#deps.clock.monotonicMs() + SETTLE_MS;
    if (connection.kind === 'steering') return;
    for (const child of childrenOf(connection)) {
      const isReplaced = childSas.some((childSa) => childSa.name === child.name && !fits(childSa, child));
      if (!isReplaced) continue;
      this.#attempts.set(initiateKey(connection.name, child.name), { attempts: 0, notBeforeMs, refusal: undefined });
    }
  }

  /**
   * What charon does not have at all is written down before it is loaded, all of a round at once: should this agent die in
   * between, charon's list of names shows what was loaded. A connection that takes the place of another one of its name does
   * not show, and is written down when it was loaded.
   */
  #announce(steps: readonly Step[], { connections }: ObservedState): void {
    if (this.#ledger === undefined) return;
    const isNew = (step: Step): boolean => step.kind === 'load-conn' && !connections.has(step.connection.name);
    this.#write(steps.filter(isNew).reduce((ledger, step) => ledgerAfter(ledger, step, undefined), this.#ledger));
  }

  /** A load that worked is written down before anything else happens: the same load again could end SAs. */
  #record(step: Step, keyId: string | undefined): void {
    if (this.#ledger !== undefined) this.#write(ledgerAfter(this.#ledger, step, keyId));
  }

  #write(ledger: Ledger): void {
    if (ledger === this.#ledger) return;
    this.#ledger = ledger;
    this.#isLedgerSaved = this.#deps.saveLedger(ledger);
  }

  #noteAttempt(step: Step, refusal: string | undefined): void {
    const key = paceKey(step);
    if (key === undefined) return;
    const { clock, random } = this.#deps;
    this.#attempts.set(key, nextAttempt(this.#attempts.get(key), refusal, { nowMs: clock.monotonicMs(), random }));
  }

  #notLoaded(target: Target): readonly string[] {
    const { credentials, crl, connections } = this.#ledger ?? emptyLedger(0);
    return [
      ...(credentials === target.credentialsDigest ? [] : ['credentials']),
      ...(crl === target.crlDigest || target.crlDigest === undefined ? [] : ['crl']),
      ...[...this.#digests]
        .filter(([name, digest]) => digest === undefined || connections[name] !== digest)
        .map(([name]) => name),
    ];
  }

  #refusals(): readonly Refusal[] {
    return [...this.#attempts].flatMap(([key, { refusal }]) => {
      if (refusal === undefined) return [];
      return [{ resource: connectionOf(key) ?? subjectOf(key), step: stepOf(key), message: refusal }];
    });
  }

  /** What may be tried now and was not is not waited for: it is up, or its path does not want it. */
  #nextAttemptInMs(): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const untilMs = [
      ...[...this.#attempts.values()].map(({ notBeforeMs }) => notBeforeMs),
      ...[...this.#unwantedSinceMs.values()].map((sinceMs) => sinceMs + LEAVE_MS),
    ];
    return Math.min(...untilMs.map((ms) => ms - nowMs).filter((ms) => ms > 0));
  }
}

/** Keeps the time of those that are still there, and notes the time of the others. */
function noteSince(sinceMs: Map<number, number>, ikeSas: readonly IkeSa[], nowMs: number): void {
  const present = new Set(ikeSas.map(({ uniqueId }) => uniqueId));
  for (const uniqueId of sinceMs.keys()) if (!present.has(uniqueId)) sinceMs.delete(uniqueId);
  for (const uniqueId of present) if (!sinceMs.has(uniqueId)) sinceMs.set(uniqueId, nowMs);
}

/** What moves traffic, as it is. */
type Steered = Pick<ObservedState, 'traps' | 'routes'>;

/** Links whose traffic goes into their direct tunnel, among those that are steered. */
export function linksInDirect(steering: readonly Steering[], steered: Steered): ReadonlySet<string> {
  const isDirect = (each: Steering): boolean =>
    'direct' in each ? isTrappedDirect(each, steered) : isRoutedDirect(each, steered);
  return new Set(steering.filter(isDirect).map(({ link }) => link));
}

function steeredAfter(observed: Steered, done: readonly Step[]): Steered {
  const traps = new Map(observed.traps);
  const routes = new Map<string, ObservedRoute>(observed.routes);
  for (const step of done) {
    if (step.kind === 'install-trap') {
      const { connection, trap: name } = step;
      traps.set(trapKey(connection, name), { connection, name, localTs: [], remoteTs: [] });
    }
    if (step.kind === 'uninstall-trap') traps.delete(trapKey(step.connection, step.trap));
    if (step.kind === 'set-routes' || step.kind === 'divert-routes')
      for (const route of step.routes) routes.set(routeKey(route), route);
    if (step.kind === 'remove-routes') for (const route of step.routes) routes.delete(routeKey(route));
  }
  return { traps, routes };
}

/** More than it takes for a change to reach the other end, and to be loaded there. */
const SETTLE_MS = 1000;

/** An SA that is set up and lost at once must not be set up again at once, over and over. */
const STABLE_SECONDS = 10;

function isStable({ establishedSeconds }: IkeSa): boolean {
  return establishedSeconds !== undefined && establishedSeconds >= STABLE_SECONDS;
}

function isStableChild({ installedSeconds }: ChildSa): boolean {
  return installedSeconds !== undefined && installedSeconds >= STABLE_SECONDS;
}

/** The connection that a pace key is about; undefined for the credentials and the list of revoked certificates. */
function connectionOf(key: string): string | undefined {
  const subject = subjectOf(key);
  return subject === 'credentials' || subject === 'crl' ? undefined : subject.split('/')[0];
}

function stepOf(key: string): Refusal['step'] {
  if (key.startsWith('load ')) return 'load';
  return key.startsWith('install ') ? 'install' : 'initiate';
}

function subjectOf(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}
