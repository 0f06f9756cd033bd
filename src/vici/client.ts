import { performance } from 'node:perf_hooks';
import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { pause } from '../clock.ts';
import { Deferred } from './deferred.ts';
import type { ViciAddress } from './dial.ts';
import { clientEvents, type ViciClientEvent } from './client-events.ts';
import { beginLife, socketFileAt, type ViciLife } from './life.ts';
import type { ViciInput, ViciSection } from './message.ts';
import { onAbort } from './on-abort.ts';
import type { ViciCallCommand, ViciItemOf, ViciReply, ViciStreamCommand } from './protocol/commands.ts';
import type { ViciEventName } from './protocol/events.ts';
import type { ViciRequest } from './protocol/requests.ts';
import {
  checkSessionLimits,
  TIMEOUT_MS_DEFAULT,
  ViciSession,
  type ViciCallOptions,
  type ViciRawCallOptions,
  type ViciSessionLimits,
  type ViciSubscribeOptions,
} from './session.ts';
import { ViciError } from './vici-error.ts';
import { checkRange, TIMEOUT_MS_MAX, watchLimit } from './wait-limit.ts';
import { watchSas, type SaChange, type WatchSasOptions } from './watch-sas.ts';

/** Calls that may wait for a session at once. */
const WAITERS_MAX = 65_536;
/** charon is back within a second after a restart; longer outages need no more than a look now and then. */
const RECONNECT: BackoffPolicy = { baseMs: 100, maxMs: 2000 };

/** The loss of charon, or that it still cannot be reached. */
export interface ViciOutage {
  /** Why. */
  readonly error: ViciError;
  /** Attempts since the last session. */
  readonly attempt: number;
  /** Milliseconds until the next attempt. */
  readonly retryInMs: number;
}

/** Where charon is, the limits of each session, and who is told. */
export type ViciClientOptions = ViciAddress &
  ViciSessionLimits & {
    /** Told of each failed attempt and each lost session; must not throw. */
    readonly onOutage?: ((outage: ViciOutage) => void) | undefined;
  };

/**
 * A client of the charon at one address, through its restarts. Connects at once and again whenever the session ends,
 * with jittered back-off, until it is disposed; a charon that still starts up and does not know its own commands yet
 * counts as not there. Calls wait for a session within their deadline; what was under way when charon went rejects
 * with `connection-closed` and is not sent again, as nobody knows whether it was carried out.
 */
export class ViciClient implements AsyncDisposable {
  readonly #options: ViciClientOptions;
  readonly #stop = new AbortController();
  readonly #waiting = new Set<Deferred<ViciLife>>();
  readonly #ended: Promise<void>;
  #life: ViciLife | undefined;
  #lastError: ViciError | undefined;

  /** Throws `invalid-request` for limits that make no sense; whether charon is there shows later. */
  constructor(options: ViciClientOptions) {
    checkSessionLimits(options);
    this.#options = options;
    this.#ended = this.#run();
  }

  /**
   * The session that is open now, or the next one. Throws `connect-failed` with the last reason as cause when none came
   * about in `timeoutMs` (the client's default if absent), `connection-closed` when the client is disposed.
   */
  async session(options: ViciCallOptions = {}): Promise<ViciSession> {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    checkRange('timeoutMs', timeoutMs, TIMEOUT_MS_MAX);
    return (await this.#nextLife(options.signal, timeoutMs)).session;
  }

  /** As {@link ViciSession.call}. The deadline counts for the wait for a session, and again for the answer. */
  async call<C extends ViciCallCommand>(
    command: C,
    request?: ViciRequest<C>,
    options: ViciCallOptions = {},
  ): Promise<ViciReply<C>> {
    return (await this.session(options)).call(command, request, options);
  }

  /** As {@link ViciSession.request}. */
  async request(command: string, request: ViciInput = {}, options: ViciRawCallOptions = {}): Promise<ViciSection> {
    return (await this.session(options)).request(command, request, options);
  }

  /** As {@link ViciSession.stream}; a charon that goes meanwhile ends it with `connection-closed`. */
  async *stream<C extends ViciStreamCommand>(
    command: C,
    request?: ViciRequest<C>,
    options: ViciCallOptions = {},
  ): AsyncGenerator<ViciItemOf<C>, void, undefined> {
    yield* (await this.session(options)).stream(command, request, options);
  }

  /**
   * Events through charon's restarts, for as long as the loop runs. The first item, and the first after each loss of
   * charon, is `resync`: what happened before was missed, so read the full state now; nothing after it is. Throws
   * `events-overflow` when the consumer fell behind, `unknown-event` when this charon lacks one that is not optional. To
   * stop from outside of the loop use the signal: `return()` would wait for the next event.
   */
  events(names: readonly ViciEventName[], options: ViciSubscribeOptions = {}): AsyncGenerator<ViciClientEvent, void> {
    return clientEvents((signal) => this.#nextLife(signal), names, options);
  }

  /** The IKE SAs of this charon, and every change of them; see {@link SaChange}. */
  watchSas(options: WatchSasOptions = {}): AsyncGenerator<SaChange, void> {
    return watchSas((signal) => this.#nextLife(signal), options);
  }

  /** Ends the session and everything that waits; resolves when every socket is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const end = new ViciError('connection-closed', 'the client was closed');
    this.#stop.abort(end);
    for (const waiter of this.#waiting) waiter.reject(end);
    this.#waiting.clear();
    await this.#ended;
  }

  async #nextLife(signal: AbortSignal | undefined, timeoutMs?: number): Promise<ViciLife> {
    if (this.#stop.signal.aborted) throw this.#stop.signal.reason as ViciError;
    if (signal?.aborted !== true && this.#life !== undefined && !this.#life.session.isClosed) return this.#life;
    if (this.#waiting.size >= WAITERS_MAX) throw new ViciError('queue-full', `${WAITERS_MAX} calls wait for charon`);
    const waiter = new Deferred<ViciLife>();
    this.#waiting.add(waiter);
    const stop = watchLimit({ signal, timeoutMs }, 'the wait for charon', (error) =>
      waiter.reject(this.#explain(error)),
    );
    try {
      return await waiter.promise;
    } finally {
      stop();
      this.#waiting.delete(waiter);
    }
  }

  #explain(error: ViciError): ViciError {
    if (error.code !== 'deadline-passed' || this.#lastError === undefined) return error;
    return new ViciError('connect-failed', this.#lastError.detail, { cause: this.#lastError });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let attempt = 0; ;) {
      const { error, livedMs } = await this.#liveOnce(signal);
      if (signal.aborted) return;
      // A session that lasted was no failed attempt.
      attempt = livedMs > RECONNECT.maxMs ? 1 : attempt + 1;
      this.#lastError = error;
      const retryInMs = backoffMs(attempt, RECONNECT, this.#options.random ?? Math.random);
      this.#options.onOutage?.({ error, attempt, retryInMs });
      await pause(retryInMs, signal);
    }
  }

  /** One session from its beginning to its end; why it ended, and for how long it served. */
  async #liveOnce(signal: AbortSignal): Promise<{ readonly error: ViciError; readonly livedMs: number }> {
    let servesSinceMs: number | undefined;
    const ended = (error: ViciError) => ({ error, livedMs: performance.now() - (servesSinceMs ?? performance.now()) });
    try {
      const socketFile = await socketFileAt(this.#options);
      await using session = await ViciSession.connect({ ...this.#options, signal });
      const closeOnStop = (): void => void session[Symbol.asyncDispose]();
      const stopWatching = onAbort(signal, closeOnStop);
      if (signal.aborted) closeOnStop();
      try {
        this.#life = await beginLife(session, socketFile);
        servesSinceMs = performance.now();
        for (const waiter of this.#waiting) waiter.resolve(this.#life);
        this.#waiting.clear();
        return ended(await session.closed);
      } finally {
        this.#life = undefined;
        stopWatching();
      }
    } catch (error) {
      if (error instanceof ViciError) return ended(error);
      throw error;
    }
  }
}
