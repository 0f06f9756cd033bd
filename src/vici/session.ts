import { ViciConnection } from './connection.ts';
import { Deferred } from './deferred.ts';
import { dial, type ViciAddress } from './dial.ts';
import { Gate } from './gate.ts';
import type { ViciInput, ViciSection } from './message.ts';
import {
  readReply,
  streamSpecOf,
  viciCommands,
  type ViciCallCommand,
  type ViciItemOf,
  type ViciLane,
  type ViciReply,
  type ViciStreamCommand,
} from './protocol/commands.ts';
import type { ViciEventName } from './protocol/events.ts';
import type { ViciRequest } from './protocol/requests.ts';
import { streamEvents } from './stream.ts';
import { ViciSubscription } from './subscription.ts';
import { ViciError } from './vici-error.ts';
import { checkRange, TIMEOUT_MS_MAX, watchLimit, type WaitLimit } from './wait-limit.ts';

/** Commands that may block in charon at once, each holding one of its 16 worker threads; the 12th froze it. */
export const SLOW_COMMANDS_MAX = 4;
/** Lists and other commands with large replies that may run at once. */
export const BULK_COMMANDS_MAX = 4;

/** Some 30 ms of work for charon, so that it has enough to do while this process is busy otherwise. */
const WINDOW_MAX_DEFAULT = 512;
/** Of quick and bulk commands, of connecting, and of the wait for a session. */
export const TIMEOUT_MS_DEFAULT = 10_000;
/** Longer than charon's retransmissions go on by default (165 s), which a terminate may wait for. */
const SLOW_TIMEOUT_MS_DEFAULT = 180_000;
const EVENTS_CAPACITY_DEFAULT = 4096;

/** Limits of a session; the defaults suit a charon on the same machine. */
export interface ViciSessionLimits {
  /** Quick commands on their way at once; 512 by default. */
  readonly windowMax?: number | undefined;
  /** Default deadline in ms of quick and bulk commands and of connecting; 10 s by default. */
  readonly timeoutMs?: number | undefined;
  /** Default deadline in ms of slow commands; 3 min by default. */
  readonly slowTimeoutMs?: number | undefined;
  /** Yields [0, 1), for back-off; Math.random by default. */
  readonly random?: (() => number) | undefined;
}

/** Where to connect to, and how. */
export type ViciSessionOptions = ViciAddress &
  ViciSessionLimits & {
    /** Abandons the connecting; of no effect afterwards. */
    readonly signal?: AbortSignal | undefined;
  };

/** How long to wait for one command. */
export interface ViciCallOptions {
  /** Abandons the wait. What was sent is carried out all the same, and its reply discarded. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds from the sending to the answer, in a stream to the next item. Slow and bulk commands wait as long
   * again for one of their few connections (`queue-full`), and for that to open. A quick command that misses its deadline ends the session.
   */
  readonly timeoutMs?: number | undefined;
}

/** How to run a command that is not in the table. */
export interface ViciRawCallOptions extends ViciCallOptions {
  /** `quick` by default; `slow` when charon may have to wait for something, `bulk` for a large reply. */
  readonly lane?: ViciLane | undefined;
}

/** What a subscription wants besides its events. */
export interface ViciSubscribeOptions {
  /** Ends the subscription with `aborted`, now or later. */
  readonly signal?: AbortSignal | undefined;
  /** Events that may wait for the consumer; 4096 by default. */
  readonly capacity?: number | undefined;
  /** Events to have as well where this charon knows them, such as `alert` (since 6.0.3). */
  readonly optional?: readonly ViciEventName[] | undefined;
}

/**
 * A client of one charon process. Quick commands share a pipelined connection, a subscription has its own, slow and
 * bulk commands get one each for as long as they run. The session lives as long as the shared connection and the
 * subscriptions: when charon hangs up, breaks the protocol or misses a deadline on one of them it ends as a whole, and
 * the caller connects again, or leaves that to a ViciClient.
 */
export class ViciSession implements AsyncDisposable {
  readonly #options: ViciSessionOptions;
  readonly #connections = new Set<ViciConnection>();
  /** Connections on their way, by what gives them up. */
  readonly #opening = new Map<AbortController, Promise<ViciConnection>>();
  readonly #gates = { slow: new Gate(SLOW_COMMANDS_MAX), bulk: new Gate(BULK_COMMANDS_MAX) };
  readonly #closed = new Deferred<ViciError>();
  readonly #quick: ViciConnection;
  #end: ViciError | undefined;

  private constructor(options: ViciSessionOptions, quick: ViciConnection) {
    this.#options = options;
    this.#quick = quick;
    quick.whenLost((error) => this.#finish(error));
  }

  /** Throws `connect-failed`, `aborted` or `deadline-passed`, and `invalid-request` for options that make no sense. */
  static async connect(options: ViciSessionOptions): Promise<ViciSession> {
    checkSessionLimits(options);
    const limit = { signal: options.signal, timeoutMs: options.timeoutMs ?? TIMEOUT_MS_DEFAULT };
    return new ViciSession(options, await open(options, limit));
  }

  /** Resolves to the reason when the session has ended, also by disposal; never rejects. */
  get closed(): Promise<ViciError> {
    return this.#closed.promise;
  }

  /** Whether it has ended. */
  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /**
   * Sends a command and resolves to its checked reply; charon's `success = no` throws `command-failed`. Quick commands
   * are carried out in the order of the calls; slow ones run beside them, at most {@link SLOW_COMMANDS_MAX} at once.
   */
  async call<C extends ViciCallCommand>(
    command: C,
    request?: ViciRequest<C>,
    options: ViciCallOptions = {},
  ): Promise<ViciReply<C>> {
    const { lane } = viciCommands[command];
    const limit = this.#limitOf(lane, options);
    return readReply(command, await this.#send(lane, command, request ?? {}, limit));
  }

  /**
   * Sends any command, also one of another plugin that no table here knows. Resolves to the reply as it came: whether
   * `success` is there and what it says is the caller's to see.
   */
  async request(command: string, request: ViciInput = {}, options: ViciRawCallOptions = {}): Promise<ViciSection> {
    const lane = options.lane ?? 'quick';
    return this.#send(lane, command, request, this.#limitOf(lane, options));
  }

  /**
   * Runs a command for the items that it streams. Begins with the first `next()`; throws `command-failed` at the end
   * like {@link call}. Stopping early is fine and needs no waiting. At most {@link BULK_COMMANDS_MAX} lists run at
   * once, and a suspended iteration counts.
   */
  stream<C extends ViciStreamCommand>(
    command: C,
    request?: ViciRequest<C>,
    options: ViciCallOptions = {},
  ): AsyncGenerator<ViciItemOf<C>, void, undefined> {
    const { lane, event, item } = streamSpecOf(command);
    const limit = this.#limitOf(lane, options);
    const streaming = {
      command,
      request: request ?? {},
      event,
      readItem: item,
      checkReply: (reply: ViciSection) => void readReply(command, reply),
    };
    return streamEvents(() => this.#openBehind(this.#gates[lane], limit), streaming, limit);
  }

  /**
   * Resolves when charon has confirmed every event, so that a full read afterwards misses nothing. Throws
   * `unknown-event` when this charon lacks one that is not optional.
   */
  async subscribe(events: readonly ViciEventName[], options: ViciSubscribeOptions = {}): Promise<ViciSubscription> {
    checkRange('capacity', options.capacity, Number.MAX_SAFE_INTEGER);
    const limit = { signal: options.signal, timeoutMs: this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT };
    const connection = await this.#open(limit);
    connection.whenLost((error) => this.#finish(error));
    const { optional = [], capacity = EVENTS_CAPACITY_DEFAULT } = options;
    return ViciSubscription.open(connection, { events, optional, capacity }, limit);
  }

  /** Rejects what is under way with `connection-closed`; resolves when every socket is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish(new ViciError('connection-closed', 'the session was closed'));
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#connections, this.#quick].map((connection) => connection.closed));
  }

  /** Not async itself, which would put one more promise into each of ten thousand calls. */
  #send(lane: ViciLane, command: string, request: ViciInput, limit: WaitLimit): Promise<ViciSection> {
    if (lane === 'quick') return this.#quick.command(command, request, limit);
    return this.#sendApart(lane, command, request, limit);
  }

  async #sendApart(
    lane: Exclude<ViciLane, 'quick'>,
    command: string,
    request: ViciInput,
    limit: WaitLimit,
  ): Promise<ViciSection> {
    const connection = await this.#openBehind(this.#gates[lane], limit);
    const answer = connection.command(command, request, limit);
    // Also after an abort the place stays taken until charon has answered: the command still holds a worker there.
    connection.retire();
    return answer;
  }

  #limitOf(lane: ViciLane, options: ViciCallOptions): WaitLimit {
    checkRange('timeoutMs', options.timeoutMs, TIMEOUT_MS_MAX);
    const byLane =
      lane === 'slow'
        ? (this.#options.slowTimeoutMs ?? SLOW_TIMEOUT_MS_DEFAULT)
        : (this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT);
    return { signal: options.signal, timeoutMs: options.timeoutMs ?? byLane };
  }

  /** A connection of its own; its place at the gate is free again when it is closed. */
  async #openBehind(gate: Gate, limit: WaitLimit): Promise<ViciConnection> {
    const leave = await gate.enter(limit);
    try {
      const connection = await this.#open(limit);
      void connection.closed.then(leave);
      return connection;
    } catch (error) {
      leave();
      throw error;
    }
  }

  async #open(limit: WaitLimit): Promise<ViciConnection> {
    this.#throwIfEnded();
    const giveUp = new AbortController();
    const stop = watchLimit({ signal: limit.signal }, 'connecting', (error) => giveUp.abort(error));
    const opening = open(this.#options, { timeoutMs: limit.timeoutMs, signal: giveUp.signal });
    this.#opening.set(giveUp, opening);
    try {
      const connection = await opening;
      this.#connections.add(connection);
      void connection.closed.then(() => this.#connections.delete(connection));
      if (this.#end !== undefined) connection.destroy(this.#end);
      return connection;
    } finally {
      stop();
      this.#opening.delete(giveUp);
      this.#throwIfEnded();
    }
  }

  #throwIfEnded(): void {
    if (this.#end !== undefined) throw this.#end;
  }

  #finish(error: ViciError): void {
    if (this.#end !== undefined) return;
    const end = error.code === 'connection-closed' ? error : endedBecause(error);
    this.#end = end;
    for (const giveUp of this.#opening.keys()) giveUp.abort(end);
    for (const gate of Object.values(this.#gates)) gate.close(end);
    for (const connection of [this.#quick, ...this.#connections]) connection.destroy(end);
    this.#closed.resolve(error);
  }
}

async function open(options: ViciSessionOptions, limit: WaitLimit): Promise<ViciConnection> {
  const socket = await dial(options, limit, options.random ?? Math.random);
  return new ViciConnection(socket, options.windowMax ?? WINDOW_MAX_DEFAULT);
}

function endedBecause(error: ViciError): ViciError {
  return new ViciError('connection-closed', `the session has ended: ${error.detail}`, { cause: error });
}

/** Throws `invalid-request` naming the limit that makes no sense. */
export function checkSessionLimits(limits: ViciSessionLimits): void {
  checkRange('windowMax', limits.windowMax, 4096);
  checkRange('timeoutMs', limits.timeoutMs, TIMEOUT_MS_MAX);
  checkRange('slowTimeoutMs', limits.slowTimeoutMs, TIMEOUT_MS_MAX);
}
