import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import type { Clock } from '../clock.ts';

/** Repairs are at least this far apart: what breaks sooner may break for the same reason, or by the repair. */
const REPAIR_EVERY_MS = 5000;
/** As long as none of them has helped, and nothing else has changed. */
const IN_VAIN: BackoffPolicy = { baseMs: REPAIR_EVERY_MS, maxMs: 120_000 };

export interface RepairPaceDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly random: () => number;
}

/** When a repair may be made again: soon after one that has helped, and later and later after such as have not. */
export class RepairPace {
  readonly #deps: RepairPaceDeps;
  #inVain = 0;
  #madeAtMs = Number.NEGATIVE_INFINITY;
  #gapMs = 0;

  constructor(deps: RepairPaceDeps) {
    this.#deps = deps;
  }

  /** Ms until it may be made again; 0 or less: now. */
  get waitMs(): number {
    return this.#madeAtMs + this.#gapMs - this.#deps.clock.monotonicMs();
  }

  /** Whether it may be made now, or so soon that nothing should get in its way. */
  get isNear(): boolean {
    return this.waitMs <= REPAIR_EVERY_MS;
  }

  made(): void {
    const { clock, random } = this.#deps;
    this.#inVain += 1;
    this.#madeAtMs = clock.monotonicMs();
    this.#gapMs = Math.max(
      REPAIR_EVERY_MS,
      backoffMs(this.#inVain, IN_VAIN, () => 0.5 + random() / 2),
    );
  }

  /** Something has come through at `atMs`, monotonic. */
  heardAt(atMs: number): void {
    if (atMs > this.#madeAtMs) this.beginAnew();
  }

  /** What was in vain before says nothing of the next one. */
  beginAnew(): void {
    this.#inVain = 0;
    this.#gapMs = Math.min(this.#gapMs, REPAIR_EVERY_MS);
  }
}
