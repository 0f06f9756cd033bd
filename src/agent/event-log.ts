import type { NodeEvent } from '../control/report.ts';

/** Events kept for `agentctl events` and for a coordinator that is away. */
const KEPT_MAX = 1000;
/** Events that one follower may be behind; a slower one is cut off with an error. */
const FOLLOWER_MAX = 1000;
/** Selectors of a large link make long messages; with a longer one the coordinator would refuse the frame. */
const MESSAGE_MAX = 1000;

/** What happened on this node: the newest ones, and a stream of the next. */
export class EventLog {
  readonly #kept: NodeEvent[] = [];
  readonly #listeners = new Set<(event: NodeEvent) => void>();

  /** A message beyond {@link MESSAGE_MAX} characters is cut. */
  add({ message, ...rest }: NodeEvent): void {
    const event = { ...rest, message: message.slice(0, MESSAGE_MAX) };
    this.#kept.push(event);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** Oldest first. */
  kept(): readonly NodeEvent[] {
    return [...this.#kept];
  }

  /** Calls `listener` with each new event until the returned function is called. The listener must not throw. */
  listen(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The new events from this call on; ends when `signal` aborts, throws when the reader is too far behind. */
  follow(signal: AbortSignal): AsyncGenerator<NodeEvent, void, undefined> {
    const waiting: NodeEvent[] = [];
    const wakeUp = { now: (): void => undefined };
    const stop = this.listen((event) => {
      if (waiting.length <= FOLLOWER_MAX) waiting.push(event);
      wakeUp.now();
    });
    return drain(waiting, wakeUp, signal, stop);
  }
}

async function* drain(
  waiting: NodeEvent[],
  wakeUp: { now: () => void },
  signal: AbortSignal,
  stop: () => void,
): AsyncGenerator<NodeEvent, void, undefined> {
  const onAbort = (): void => wakeUp.now();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!signal.aborted && waiting.length <= FOLLOWER_MAX) {
      const event = waiting.shift();
      if (event !== undefined) yield event;
      else await new Promise<void>((resolve) => (wakeUp.now = resolve));
    }
    if (!signal.aborted) throw new Error(`a reader is more than ${FOLLOWER_MAX} events behind`);
  } finally {
    stop();
    signal.removeEventListener('abort', onAbort);
  }
}
