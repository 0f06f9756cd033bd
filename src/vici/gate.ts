import { Deferred } from './deferred.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';
import { ViciError } from './vici-error.ts';

/** Lets a limited number in at once; the others wait in the order of their coming. */
export class Gate {
  #free: number;
  #closed: ViciError | undefined;
  readonly #waiting = new Set<Deferred<void>>();

  constructor(places: number) {
    this.#free = places;
  }

  /** Resolves to the function that gives the place back; call it once. */
  async enter(limit: WaitLimit): Promise<() => void> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await this.#wait(limit);
    }
    return () => this.#leave();
  }

  /** Turns away who waits and who will come. */
  close(error: ViciError): void {
    this.#closed ??= error;
    for (const waiter of this.#waiting) waiter.reject(error);
    this.#waiting.clear();
  }

  async #wait(limit: WaitLimit): Promise<void> {
    const turn = new Deferred<void>();
    this.#waiting.add(turn);
    const stop = watchLimit(limit, 'the wait for a free connection', (error) => {
      this.#waiting.delete(turn);
      turn.reject(error.code === 'deadline-passed' ? stillFull(error) : error);
    });
    try {
      await turn.promise;
    } finally {
      stop();
    }
  }

  /** A place goes straight to the next one, so that nobody can slip in between. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next.resolve();
  }
}

/** Nothing was sent, and nothing is wrong with charon: not what a passed deadline means elsewhere. */
function stillFull(cause: ViciError): ViciError {
  return new ViciError('queue-full', `nothing was sent: ${cause.detail}`, { cause });
}
