import { Deferred } from './deferred.ts';
import type { PacketOf } from './packet.ts';
import type { ViciError } from './vici-error.ts';
import { watchLimit, type WaitLimit } from './wait-limit.ts';

/** The packets that answer something, as opposed to events. */
export type Answer = PacketOf<'cmd-response' | 'cmd-unknown' | 'event-confirm' | 'event-unknown'>;

/** charon answers a request with one of these kinds, a registration with the other. */
const ANSWERED_BY = {
  command: ['cmd-response', 'cmd-unknown'],
  registration: ['event-confirm', 'event-unknown'],
} as const satisfies Record<string, readonly Answer['type'][]>;

export type ExchangeKind = keyof typeof ANSWERED_BY;

/** One request and the wait for its answer. */
export class Exchange {
  readonly segment: Uint8Array;
  readonly #kind: ExchangeKind;
  readonly #what: string;
  readonly #limit: WaitLimit;
  readonly #answer = new Deferred<Answer>();
  #abandoned = false;
  #stopSignal = (): void => {};
  #stopTimer = (): void => {};

  constructor(segment: Uint8Array, kind: ExchangeKind, what: string, limit: WaitLimit) {
    this.segment = segment;
    this.#kind = kind;
    this.#what = what;
    this.#limit = limit;
    if (limit.signal === undefined) return;
    this.#stopSignal = watchLimit({ signal: limit.signal }, what, (error) => {
      this.#abandoned = true;
      this.#answer.reject(error);
    });
  }

  get answer(): Promise<Answer> {
    return this.#answer.promise;
  }

  /** The caller gave up: no need to send it any more. Once it is sent the answer has its place in the order. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** The time runs from here, also for a caller that gave up: no answer means that the connection is stuck. */
  sent(onDeadline: (error: ViciError) => void): void {
    this.#stopTimer = watchLimit({ timeoutMs: this.#limit.timeoutMs }, this.#what, onDeadline);
  }

  isAnsweredBy(answer: Answer): boolean {
    const types: readonly Answer['type'][] = ANSWERED_BY[this.#kind];
    return types.includes(answer.type);
  }

  resolve(answer: Answer): void {
    this.#stop();
    this.#answer.resolve(answer);
  }

  reject(error: ViciError): void {
    this.#stop();
    this.#answer.reject(error);
  }

  #stop(): void {
    this.#stopSignal();
    this.#stopTimer();
  }
}
