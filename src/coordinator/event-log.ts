import type { NodeEvent } from '../control/report.ts';
import type { NodeName } from '../ike/connection.ts';
import type { MeshEvent } from './api.ts';
import { EVENTS_MAX, type ObservationStore } from './observation-store.ts';

/** With so many unwritten events it is time to write. */
const UNWRITTEN_MAX = 5000;

/**
 * All nodes' events in one order. Readers hold no queue here: each has a position, reads from it, and waits for more,
 * so a slow one costs nothing and at worst misses what was forgotten meanwhile.
 */
export class EventLog {
  readonly #store: ObservationStore;
  readonly #waiting = new Set<() => void>();
  #unwritten: MeshEvent[] = [];
  #lastId: number;

  constructor(store: ObservationStore) {
    this.#store = store;
    this.#lastId = store.lastEventId();
  }

  /** Id of the newest event; 0 before the first. */
  get lastId(): number {
    return this.#lastId;
  }

  append(node: NodeName | null, events: readonly NodeEvent[]): void {
    if (events.length === 0) return;
    for (const event of events) {
      this.#lastId += 1;
      this.#unwritten.push({ ...event, id: this.#lastId, node });
    }
    for (const wake of this.#waiting) wake();
  }

  /** The owner must take and write what there is before it appends more. */
  get isFull(): boolean {
    return this.#unwritten.length >= UNWRITTEN_MAX;
  }

  /** What is to be written now; the caller writes it. */
  takeUnwritten(): readonly MeshEvent[] {
    const taken = this.#unwritten;
    this.#unwritten = [];
    return taken;
  }

  /** At most `limit` events after `position`, oldest first. */
  after(position: number, limit: number): readonly MeshEvent[] {
    const written = this.#store.eventsAfter(Math.max(position, this.#lastId - EVENTS_MAX), limit);
    const rest = this.#unwritten.filter(({ id }) => id > position).slice(0, limit - written.length);
    return [...written, ...rest];
  }

  /** Resolves when there is an event after `position`, or `signal` aborts. */
  async more(position: number, signal: AbortSignal): Promise<void> {
    while (this.#lastId <= position && !signal.aborted) await this.#change(signal);
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
