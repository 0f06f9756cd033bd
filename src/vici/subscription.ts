import type { ViciConnection, ViciEventMessage } from './connection.ts';
import { EventQueue } from './event-queue.ts';
import type { ViciEventName } from './events.ts';
import { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/**
 * Events as charon sends them, for one consumer. Iterating throws `events-overflow` when the consumer fell behind,
 * `aborted` when the signal fired, and why the connection ended when charon is gone; leaving the loop closes the
 * subscription, and disposing it ends the loop.
 */
export class ViciSubscription implements AsyncIterable<ViciEventMessage>, AsyncDisposable {
  readonly #connection: ViciConnection;
  readonly #queue: EventQueue<ViciEventMessage>;

  private constructor(connection: ViciConnection, queue: EventQueue<ViciEventMessage>) {
    this.#connection = connection;
    this.#queue = queue;
  }

  /**
   * Registers on a connection that serves nothing else, and owns it from then on. Resolves when charon has confirmed
   * every event; throws `unknown-event` when it knows one of them not. `capacity`: events that may wait.
   */
  static async open(
    connection: ViciConnection,
    events: readonly ViciEventName[],
    capacity: number,
    limit: WaitLimit,
  ): Promise<ViciSubscription> {
    const queue = new EventQueue<ViciEventMessage>();
    const give = (error: ViciError): void => {
      queue.fail(error);
      connection.destroy(error);
    };
    connection.listen((event) => {
      if (queue.length < capacity) return queue.push(event);
      return give(new ViciError('events-overflow', `the consumer is ${capacity} events behind`));
    });
    try {
      // charon delivers an event as often as it was registered.
      await Promise.all([...new Set(events)].map((event) => connection.register(event, limit)));
    } catch (error) {
      connection.destroy(new ViciError('connection-closed', 'not subscribed', { cause: error }));
      throw error;
    }
    const stopWatching = watchLimit({ signal: limit.signal }, 'the subscription', give);
    void connection.closed.then(stopWatching);
    void connection.closed.then((end) => queue.finish(end.error));
    return new ViciSubscription(connection, queue);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ViciEventMessage, void, undefined> {
    try {
      for (;;) {
        const event = await this.#queue.next();
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
