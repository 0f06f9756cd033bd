import {
  viciCommands,
  type ViciCallCommand,
  type ViciCommand,
  type ViciReply,
  type ViciStreamCommand,
} from './commands.ts';
import { ViciConnection } from './connection.ts';
import { Deferred } from './deferred.ts';
import { dial } from './dial.ts';
import type { ViciEventName } from './events.ts';
import { Gate } from './gate.ts';
import type { ViciSection } from './message.ts';
import { readReply } from './reply.ts';
import { streamEvents } from './stream.ts';
import { ViciSubscription } from './subscription.ts';
import { ViciError } from './vici-error.ts';
import { TIMEOUT_MS_MAX, type WaitLimit } from './wait-limit.ts';

/** Commands that may block in charon at once, each holding one of its 16 worker threads; the 12th froze it. */
export const SLOW_COMMANDS_MAX = 4;
/** Lists that may be streamed at once. */
export const LISTS_MAX = 4;

const WINDOW_MAX_DEFAULT = 64;
const TIMEOUT_MS_DEFAULT = 10_000;
/** Longer than charon's retransmissions go on by default (165 s), which a terminate may wait for. */
const SLOW_TIMEOUT_MS_DEFAULT = 180_000;
const EVENTS_CAPACITY_DEFAULT = 4096;

const NO_ARGUMENTS: ViciSection = new Map();

export interface ViciSessionOptions {
  /** charon's socket, usually /var/run/charon.vici. Who may open it is root on this machine. */
  readonly socketPath: string;
  /** Abandons the connecting; of no effect afterwards. */
  readonly signal?: AbortSignal | undefined;
  /** Quick commands on their way at once; 64 by default. */
  readonly windowMax?: number | undefined;
  /** Default deadline in ms of quick commands, of lists and of connecting; 10 s by default. */
  readonly timeoutMs?: number | undefined;
  /** Default deadline in ms of slow commands; 3 min by default. */
  readonly slowTimeoutMs?: number | undefined;
  /** Yields [0, 1), for the back-off while charon's backlog is full; Math.random by default. */
  readonly random?: (() => number) | undefined;
}

export interface ViciCallOptions {
  /** Abandons the wait. What was sent is carried out all the same, and its reply discarded. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds from the sending to the answer, in a stream to the next event. Slow commands and lists wait as long
   * again for one of their few connections. A quick command that misses its deadline ends the session.
   */
  readonly timeoutMs?: number | undefined;
}

export interface ViciSubscribeOptions {
  /** Ends the subscription with `aborted`, now or later. */
  readonly signal?: AbortSignal | undefined;
  /** Events that may wait for the consumer; 4096 by default. */
  readonly capacity?: number | undefined;
}

/**
 * A client of one charon process. Quick commands share a pipelined connection, a subscription has its own, slow
 * commands and lists get one each for as long as they run. The session lives as long as the shared connection and the
 * subscriptions: when charon hangs up, breaks the protocol or misses a deadline on one of them it ends as a whole, and
 * the caller connects again.
 */
export class ViciSession implements AsyncDisposable {
  readonly #options: ViciSessionOptions;
  readonly #connections = new Set<ViciConnection>();
  readonly #gates = { slow: new Gate(SLOW_COMMANDS_MAX), list: new Gate(LISTS_MAX) };
  readonly #closed = new Deferred<ViciError>();
  readonly #quick: ViciConnection;
  #end: ViciError | undefined;

  private constructor(options: ViciSessionOptions, quick: ViciConnection) {
    this.#options = options;
    this.#quick = quick;
    void this.#endWith(quick);
  }

  /** Throws `connect-failed`, `aborted` or `deadline-passed`, and `invalid-request` for options that make no sense. */
  static async connect(options: ViciSessionOptions): Promise<ViciSession> {
    checkRange('windowMax', options.windowMax, 4096);
    checkRange('timeoutMs', options.timeoutMs, TIMEOUT_MS_MAX);
    checkRange('slowTimeoutMs', options.slowTimeoutMs, TIMEOUT_MS_MAX);
    const limit = { signal: options.signal, timeoutMs: options.timeoutMs ?? TIMEOUT_MS_DEFAULT };
    return new ViciSession(options, await open(options, limit));
  }

  /** Resolves to the reason when the session has ended, also by disposal; never rejects. */
  get closed(): Promise<ViciError> {
    return this.#closed.promise;
  }

  /**
   * Sends a command and resolves to its checked reply; charon's `success = no` throws `command-failed`. Quick commands
   * are carried out in the order of the calls; slow ones run beside them, at most {@link SLOW_COMMANDS_MAX} at once.
   */
  async call<C extends ViciCallCommand>(
    command: C,
    request: ViciSection = NO_ARGUMENTS,
    options: ViciCallOptions = {},
  ): Promise<ViciReply<C>> {
    const limit = this.#limitOf(command, options);
    const connection =
      viciCommands[command].lane === 'quick' ? this.#quick : await this.#openBehind(this.#gates.slow, limit);
    const answer = connection.command(command, request, limit);
    // Also after an abort the place stays taken until charon has answered: the command still holds a worker there.
    if (connection !== this.#quick) connection.retire();
    return readReply(command, await answer, viciCommands[command].reply) as ViciReply<C>;
  }

  /**
   * Runs a command for the bodies of the events that it streams. Begins with the first `next()`; throws
   * `command-failed` at the end like {@link call}. Stopping early is fine and needs no waiting. At most
   * {@link LISTS_MAX} lists run at once, and a suspended iteration counts.
   */
  async *stream(
    command: ViciStreamCommand,
    request: ViciSection = NO_ARGUMENTS,
    options: ViciCallOptions = {},
  ): AsyncGenerator<ViciSection, void, undefined> {
    const limit = this.#limitOf(command, options);
    const gate = viciCommands[command].lane === 'list' ? this.#gates.list : this.#gates.slow;
    yield* streamEvents(await this.#openBehind(gate, limit), command, request, limit);
  }

  /**
   * Resolves when charon has confirmed every event, so that a full read afterwards misses nothing. Throws
   * `unknown-event` when this charon lacks one of them.
   */
  async subscribe(events: readonly ViciEventName[], options: ViciSubscribeOptions = {}): Promise<ViciSubscription> {
    checkRange('capacity', options.capacity, Number.MAX_SAFE_INTEGER);
    const limit = { signal: options.signal, timeoutMs: this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT };
    const connection = await this.#open(limit);
    void this.#endWith(connection);
    return ViciSubscription.open(connection, events, options.capacity ?? EVENTS_CAPACITY_DEFAULT, limit);
  }

  /** Rejects what is under way with `connection-closed`; resolves when every socket is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish(new ViciError('connection-closed', 'the session was closed'));
    await Promise.all([...this.#connections, this.#quick].map((connection) => connection.closed));
  }

  #limitOf(command: ViciCommand, options: ViciCallOptions): WaitLimit {
    checkRange('timeoutMs', options.timeoutMs, TIMEOUT_MS_MAX);
    const byLane =
      viciCommands[command].lane === 'slow'
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
    const connection = await open(this.#options, limit);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    if (this.#end !== undefined) connection.destroy(this.#end);
    this.#throwIfEnded();
    return connection;
  }

  #throwIfEnded(): void {
    if (this.#end !== undefined) throw this.#end;
  }

  /** Makes the session share the connection's fate, unless it is closed on purpose. */
  async #endWith(connection: ViciConnection): Promise<void> {
    const end = await connection.closed;
    if (!end.intended) this.#finish(end.error);
  }

  #finish(error: ViciError): void {
    if (this.#end !== undefined) return;
    const end = error.code === 'connection-closed' ? error : endedBecause(error);
    this.#end = end;
    for (const gate of Object.values(this.#gates)) gate.close(end);
    for (const connection of [this.#quick, ...this.#connections]) connection.destroy(end);
    this.#closed.resolve(error);
  }
}

async function open(options: ViciSessionOptions, limit: WaitLimit): Promise<ViciConnection> {
  const socket = await dial(options.socketPath, limit, options.random ?? Math.random);
  return new ViciConnection(socket, options.windowMax ?? WINDOW_MAX_DEFAULT);
}

function endedBecause(error: ViciError): ViciError {
  return new ViciError('connection-closed', `the session has ended: ${error.detail}`, { cause: error });
}

function checkRange(option: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= max)) return;
  throw new ViciError('invalid-request', `${option} must be a whole number from 1 to ${max}, not ${value}`);
}
