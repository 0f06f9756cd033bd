import { Deferred } from '../deferred.ts';
import { NO_ANSWER, type FakeAnswer, type FakeHandler } from './fake-client.ts';

/** A command whose answers wait for the test. */
export class HeldCommand {
  readonly #handler: FakeHandler;
  readonly #waiting: Deferred<void>[] = [];
  readonly #arrivals: Deferred<void>[] = [];
  #isOpen = false;

  /** `handler` makes the answers once they are let go. */
  constructor(handler: FakeHandler) {
    this.#handler = handler;
  }

  /** Requests that wait now; of one connection only the first can. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves when at least as many requests wait. */
  async arrived(count = 1): Promise<void> {
    while (this.#waiting.length < count) {
      const arrival = new Deferred<void>();
      this.#arrivals.push(arrival);
      await arrival.promise;
    }
  }

  /** Carries out the request that has waited longest. Throws when there is none. */
  release(): void {
    const first = this.#waiting.shift();
    if (first === undefined) throw new Error('no request waits');
    first.resolve();
  }

  /** Carries out all that wait, and holds nothing any more. */
  open(): void {
    this.#isOpen = true;
    for (const request of this.#waiting.splice(0)) request.resolve();
  }

  /** What the fake does with a request. */
  readonly handle: FakeHandler = async (request, client): Promise<FakeAnswer> => {
    if (this.#isOpen) return this.#handler(request, client);
    const turn = new Deferred<void>();
    this.#waiting.push(turn);
    for (const arrival of this.#arrivals.splice(0)) arrival.resolve();
    await turn.promise;
    return client.isGone ? NO_ANSWER : this.#handler(request, client);
  };
}
