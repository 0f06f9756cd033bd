import type { Clock } from './clock.ts';

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
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Takes so many, on credit where there are fewer. Returns the ms until that is paid back; 0 when nothing is owed. */
  spend(count: number): number {
    this.#fill();
    this.#tokens -= count;
    return Math.max(0, (-this.#tokens / this.#rate.perSecond) * 1000);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * perSecond);
    this.#filledAtMs = nowMs;
  }
}
