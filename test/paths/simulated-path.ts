import {
  healthOf,
  newProbe,
  nextProbe,
  type PathProbe,
  type PathUse,
  type ProbeEvent,
} from '../../src/paths/path-probe.ts';
import { seeded } from './seeded.ts';

export interface PathConditions {
  readonly seed: number;
  /** Share of the packets that are lost, on the way there or back. */
  readonly loss: number;
  /** Round trip of the next packet. */
  readonly rttMs: (random: () => number) => number;
  readonly use?: PathUse;
  /** The caller hears of time so much too late. */
  readonly lateMs?: number;
}

interface Arrival {
  readonly atMs: number;
  readonly sequence: number;
}

/** A path in a time of its own, with its probe. Begins at 1,000,000 ms. */
export class SimulatedPath {
  probe: PathProbe = newProbe(1_000_000);
  nowMs = 1_000_000;
  /** How often the path was found dead. */
  deaths = 0;
  /** When it was found dead; undefined while it is not. */
  deadSinceMs: number | undefined;
  readonly #conditions: PathConditions;
  readonly #random: () => number;
  #arrivals: Arrival[] = [];
  #lastAnswerMs = 1_000_000;
  #isDead = false;

  constructor(conditions: PathConditions) {
    this.#conditions = conditions;
    this.#random = seeded(conditions.seed);
  }

  /** Nothing comes back any more, not even what is under way. Returns when the last answer came. */
  die(): number {
    this.#isDead = true;
    this.#arrivals = [];
    return this.#lastAnswerMs;
  }

  /** The next thing that happens. */
  step(untilMs = Number.POSITIVE_INFINITY): void {
    const [arrival] = this.#arrivals;
    const timeAtMs = this.probe.nextAtMs + (this.#conditions.lateMs ?? 0);
    if (Math.min(arrival?.atMs ?? timeAtMs, timeAtMs) > untilMs) {
      this.nowMs = untilMs;
    } else if (arrival !== undefined && arrival.atMs <= timeAtMs) {
      this.#arrivals.shift();
      this.nowMs = Math.max(this.nowMs, arrival.atMs);
      this.#countDeath();
      this.#lastAnswerMs = this.nowMs;
      this.#take({ type: 'answered', sequence: arrival.sequence });
    } else {
      this.nowMs = Math.max(this.nowMs, timeAtMs);
      this.#take({ type: 'time' });
    }
    this.#countDeath();
  }

  /** Looks every 10 ms at least. */
  runUntil(ms: number): void {
    while (this.nowMs < ms) this.step(Math.min(ms, this.nowMs + 10));
  }

  #take(event: ProbeEvent): void {
    const { rttMs, loss, use = 'busy' } = this.#conditions;
    const { probe, send } = nextProbe(this.probe, event, { nowMs: this.nowMs, use, paths: 2, lateMs: 0 });
    this.probe = probe;
    if (send === undefined || this.#isDead || this.#random() < loss) return;
    this.#arrivals.push({ atMs: this.nowMs + rttMs(this.#random), sequence: send });
    this.#arrivals.sort((a, b) => a.atMs - b.atMs);
  }

  #countDeath(): void {
    if (healthOf(this.probe, this.nowMs) !== 'dead') {
      this.deadSinceMs = undefined;
    } else if (this.deadSinceMs === undefined) {
      this.deadSinceMs = this.nowMs;
      this.deaths += 1;
    }
  }
}
