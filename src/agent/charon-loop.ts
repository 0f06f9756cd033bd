import { pause, type Clock } from '../clock.ts';
import type { NodeEvent } from '../control/report.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { DataPlane } from '../ike/steering.ts';
import type { Gate, Reconciler, RoundResult, Target } from '../reconcile/loop.ts';
import { ViciClient, ViciError, type ViciOutage, type ViciSession, type ViciSubscription } from '../vici/index.ts';
import { ViciCharon, type CharonMaterial, type ViciCharonDeps } from './charon-adapter.ts';
import { CHARON_EVENTS, NEWER_CHARON_EVENTS, nodeEventsOf } from './charon-events.ts';
import type { FrozenCharon } from './frozen-charon.ts';

/**
 * Rounds are at least this far apart, whatever the events: a burst of them is looked at once. One that took long, because
 * there is much to look at or the machine is busy, is followed by a longer gap: looking must not be what makes it busy.
 */
const ROUND_GAP = { leastMs: 50, mostMs: 1000, factor: 2, longRoundMs: 250 } as const;
/** After a set-up the next look comes soon: an SA takes a moment to appear. What was loaded is set up at once. */
const AFTER_INITIATE_MS = 300;
/** While something waits for its turn. */
const WAITING_MS = 250;

export interface CharonLoopDeps {
  readonly viciSocket: string;
  /** Deadline in ms of a command that charon answers from memory. */
  readonly answerMs: number;
  readonly resyncMs: number;
  readonly clock: Clock;
  readonly bootMs: () => number;
  readonly random: () => number;
  readonly logger: Logger;
  readonly reconciler: Reconciler;
  /** What a round works towards, and what it loads for that: both of the moment at which it begins. */
  readonly target: () => Target | undefined;
  readonly material: () => CharonMaterial;
  readonly routes: ViciCharonDeps['routes'];
  /** Called before each round; must not reject. */
  readonly prepare: () => Promise<void>;
  readonly gate: Gate;
  /** Called when charon was found, before its first round, with the names of our connections that it has. */
  readonly onFound: (dataPlane: DataPlane, loaded: ReadonlySet<string>) => void;
  /** Told of every answer, and of what stays without one. */
  readonly frozen: Pick<FrozenCharon, 'answered' | 'gone' | 'unanswered'>;
  readonly onRound: (result: RoundResult) => void;
  /** charon cannot be reached; with the reason for people. */
  readonly onLost: (problem: string) => void;
  readonly onEvent: (event: NodeEvent) => void;
}

/** Holds the session with charon, through its restarts, and reconciles it whenever something may have changed. */
export class CharonLoop {
  readonly #deps: CharonLoopDeps;
  readonly #waiters = new Set<() => void>();
  /** Why a session was given up that charon would have kept. */
  #failure: unknown;
  #isTriggered = false;
  #wake: () => void = () => undefined;

  constructor(deps: CharonLoopDeps) {
    this.#deps = deps;
  }

  /** Something may have changed: look soon. */
  trigger(): void {
    this.#isTriggered = true;
    this.#wake();
  }

  /** Looks now; resolves when that is done, or after `timeoutMs` when charon does not answer. */
  async refresh(timeoutMs: number): Promise<void> {
    const done = new AbortController();
    const waiter = (): void => done.abort();
    this.#waiters.add(waiter);
    this.trigger();
    await pause(timeoutMs, done.signal);
    this.#waiters.delete(waiter);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { viciSocket: socketPath, answerMs: timeoutMs, random } = this.#deps;
    const onOutage = (outage: ViciOutage): void => this.#tellOutage(outage);
    await using client = new ViciClient({ socketPath, timeoutMs, random, onOutage });
    while (!signal.aborted) {
      // It rejects when charon stays away, which the client has told by then.
      const session = await client.session({ signal }).catch(() => undefined);
      if (session !== undefined) await this.#serve(session, signal);
    }
  }

  /** Until the session ends, the signal aborts, or something goes wrong: the next session looks at everything anew. */
  async #serve(session: ViciSession, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const ended = AbortSignal.any([signal, stop.signal]);
    // A session begins with an answer of charon's.
    this.#deps.frozen.answered();
    try {
      // Subscribed before the first look, so that nothing falls between the two.
      await using events = await session.subscribe(CHARON_EVENTS, { signal: ended, optional: NEWER_CHARON_EVENTS });
      this.#deps.onEvent(this.#event('charon', 'connected to charon'));
      const { clock, bootMs, routes } = this.#deps;
      const charon = new ViciCharon({ session, clock, bootMs, routes });
      await Promise.race([this.#readEvents(events), this.#reconcile(charon, ended)]);
    } catch (error) {
      if (!session.isClosed) this.#failure = error;
    } finally {
      stop.abort();
      await session[Symbol.asyncDispose]();
    }
  }

  #tellOutage({ error, attempt }: ViciOutage): void {
    const failure = this.#failure ?? error;
    this.#failure = undefined;
    this.#deps.logger.warn({ err: failure, attempt }, 'charon not reachable');
    const { frozen, viciSocket, onLost } = this.#deps;
    if (failure instanceof ViciError && failure.code === 'deadline-passed') return onLost(frozen.unanswered());
    frozen.gone();
    return onLost(explain(failure, viciSocket));
  }

  /** An end of the events is an end of the session: without them every change would be seen late. */
  async #readEvents(events: ViciSubscription): Promise<void> {
    for await (const event of events) {
      for (const told of nodeEventsOf(event, this.#deps.clock.nowMs())) this.#deps.onEvent(told);
      this.trigger();
    }
  }

  async #reconcile(charon: ViciCharon, signal: AbortSignal): Promise<void> {
    this.#deps.onFound(await charon.dataPlane(signal), await charon.connections(signal));
    while (!signal.aborted) {
      this.#isTriggered = false;
      const waiters = [...this.#waiters];
      const { clock, reconciler, target, material, prepare, gate, frozen, onRound } = this.#deps;
      const beganMs = clock.monotonicMs();
      await prepare();
      const result = await reconciler.round(charon.with(material()), target(), gate, signal);
      frozen.answered();
      onRound(result);
      for (const waiter of waiters) waiter();
      await pause(gapAfterMs(clock.monotonicMs() - beganMs), signal);
      await this.#untilNext(this.#waitMs(result), signal);
    }
  }

  #waitMs({ done, nextAttemptInMs }: RoundResult): number {
    if (done.some(({ kind }) => kind.startsWith('load'))) return 0;
    if (done.length > 0) return AFTER_INITIATE_MS;
    const { resyncMs } = this.#deps;
    return Math.min(resyncMs, Math.max(WAITING_MS, nextAttemptInMs));
  }

  #untilNext(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isTriggered) return Promise.resolve();
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    return pause(ms, AbortSignal.any([signal, woken.signal]));
  }

  #event(kind: string, message: string): NodeEvent {
    return { atMs: this.#deps.clock.nowMs(), kind, connection: null, child: null, message };
  }
}

function gapAfterMs(roundMs: number): number {
  const { leastMs, mostMs, factor, longRoundMs } = ROUND_GAP;
  return roundMs < longRoundMs ? leastMs : Math.min(mostMs, factor * roundMs);
}

function explain(error: unknown, socket: string): string {
  const code = systemCodeOf(error instanceof ViciError ? error.cause : error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return `charon does not run, or its VICI socket is elsewhere than ${socket}: see systemctl status strongswan`;
  }
  if (code === 'EACCES') {
    return `no permission for charon's VICI socket ${socket}: is Cygnet's strongSwan snippet installed, and strongswan restarted since?`;
  }
  return messageOf(error);
}
