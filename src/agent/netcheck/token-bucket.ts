import type { Clock } from '../../clock.ts';

export interface Rate {
  readonly perSecond: number;
  /** How many at once after a rest. */
  readonly burst: number;
}

/** Lets through so many a second. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #tokens: number;
  #filledAtMs: number;

  constructor(rate: Rate, clock: Pick<Clock, 'monotonicMs'>) {
    this.#rate = rate;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  /** False when there have been too many. */
  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * perSecond);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
