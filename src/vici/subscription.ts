import type { ViciConnection } from './connection.ts';
import { EventQueue } from './event-queue.ts';
import { decodeMessage } from './message.ts';
import { readEvent, type ViciEvent, type ViciEventName } from './protocol/events.ts';
import { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/**
 * What to register for, and how much may wait for the consumer.
 *
 * @internal
 */
export interface SubscriptionPlan {
  readonly events: readonly ViciEventName[];
  /** Wanted only where this charon has them. */
  readonly optional: readonly ViciEventName[];
  readonly capacity: number;
}

/**
 * Events as charon sends them, for one consumer. Iterating throws `events-overflow` when the consumer fell behind,
 * `aborted` when the signal fired, and why the connection ended when charon is gone; leaving the loop closes the
 * subscription, and disposing it ends the loop.
 */
export class ViciSubscription implements AsyncIterable<ViciEvent>, AsyncDisposable {
  /** What charon confirmed: all events that were asked for, and the optional ones that it has. */
  readonly events: ReadonlySet<ViciEventName>;
  readonly #connection: ViciConnection;
  readonly #queue: EventQueue<ViciEvent>;

  private constructor(connection: ViciConnection, queue: EventQueue<ViciEvent>, events: ReadonlySet<ViciEventName>) {
    this.#connection = connection;
    this.#queue = queue;
    this.events = events;
  }

  /**
   * Registers on a connection that serves nothing else, and owns it from then on. Resolves when charon has confirmed
   * every event; throws `unknown-event` when it lacks one that is not optional.
   *
   * @internal
   */
  static async open(connection: ViciConnection, plan: SubscriptionPlan, limit: WaitLimit): Promise<ViciSubscription> {
    const queue = new EventQueue<ViciEvent>();
    let given: ViciError | undefined;
    const give = (error: ViciError): void => {
      given ??= error;
      queue.fail(error);
      connection.destroy(error);
    };
    connection.listen((event) => {
      if (queue.length < plan.capacity) return queue.push(readEvent(event.name, decodeMessage(event.body)));
      return give(new ViciError('events-overflow', `the consumer is ${plan.capacity} events behind`));
    });
    let events: ReadonlySet<ViciEventName>;
    try {
      events = await registerAll(connection, plan, limit);
    } catch (error) {
      connection.destroy(new ViciError('connection-closed', 'not subscribed', { cause: error }));
      throw given ?? error;
    }
    const stopWatching = watchLimit({ signal: limit.signal }, 'the subscription', give);
    void connection.closed.then(stopWatching);
    void connection.closed.then((end) => queue.finish(end.error));
    return new ViciSubscription(connection, queue, events);
  }

  /** The events, for one loop only. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ViciEvent, void, undefined> {
    try {
      for (;;) {
        const event = this.#queue.take() ?? (await this.#queue.next());
        if (event === undefined) return;
        yield event;
      }
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  /** Ends the iteration behind what has arrived, and resolves when the connection is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue.finish();
    this.#connection.destroy(new ViciError('connection-closed', 'the subscription was closed'));
    await this.#connection.closed;
  }
}

/** Each event once: charon delivers an event as often as it was registered. */
async function registerAll(
  connection: ViciConnection,
  { events, optional }: SubscriptionPlan,
  limit: WaitLimit,
): Promise<ReadonlySet<ViciEventName>> {
  const confirmed = new Set([...events, ...optional]);
  const register = async (event: ViciEventName): Promise<void> => {
    try {
      await connection.register(event, limit);
    } catch (error) {
      const isLacking = error instanceof ViciError && error.code === 'unknown-event' && !events.includes(event);
      if (!isLacking) throw error;
      confirmed.delete(event);
    }
  };
  await Promise.all([...confirmed].map(register));
  return confirmed;
}
