import {
  answeredSentAtMs,
  comparedSinceMs,
  healthOf,
  isOutdone,
  isWorthAsking,
  newProbe,
  nextProbe,
  type PathProbe,
  type ProbeEvent,
} from '../../src/paths/path-probe.ts';
import { seeded } from './seeded.ts';

export interface LinkConditions {
  readonly seed: number;
  readonly rttMs: number;
  /** The peer stands still for so long, and then runs for so long, over and over. */
  readonly stallMs: number;
  readonly runMs: number;
  /** What has waited for it is answered within so long after that. */
  readonly crowdMs: number;
}

interface Arrival {
  readonly path: Path;
  readonly atMs: number;
  readonly sequence: number;
}

type Path = 'direct' | 'relay';

const BEGIN_MS = 1_000_000;
const STEP_MS = 10;
const OTHER = { direct: 'relay', relay: 'direct' } as const;

/** Both paths of a link to one peer, which is not always there at once, in a time of its own; the prober's part is in here. */
export class SimulatedLink {
  /** How often the direct path was found dead, and how often outdone. */
  deaths = 0;
  outdone = 0;
  readonly #conditions: LinkConditions;
  readonly #random: () => number;
  readonly #probes: Record<Path, PathProbe> = { direct: newProbe(BEGIN_MS), relay: newProbe(BEGIN_MS) };
  #nowMs = BEGIN_MS;
  #arrivals: Arrival[] = [];
  #isDirectDead = false;

  constructor(conditions: LinkConditions) {
    this.#conditions = conditions;
    this.#random = seeded(conditions.seed);
  }

  /** Nothing comes back through the direct path any more. */
  killDirect(): void {
    this.#isDirectDead = true;
    this.#arrivals = this.#arrivals.filter(({ path }) => path === 'relay');
  }

  runFor(ms: number): void {
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs;) this.#step();
  }

  /** Infinite when it is not within 20 s. */
  msUntilOutdone(): number {
    const fromMs = this.#nowMs;
    while (!isOutdone(this.#probes.direct, this.#nowMs)) {
      if (this.#nowMs - fromMs > 20_000) return Infinity;
      this.#step();
    }
    return this.#nowMs - fromMs;
  }

  #step(): void {
    const before = this.#probes.direct;
    const beforeMs = this.#nowMs;
    this.#nowMs += STEP_MS;
    const due = this.#arrivals.filter(({ atMs }) => atMs <= this.#nowMs).toSorted((a, b) => a.atMs - b.atMs);
    this.#arrivals = this.#arrivals.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { path, sequence } of due) this.#hear(path, { type: 'answered', sequence });
    for (const path of ['direct', 'relay'] as const) this.#take(path, { type: 'time' });
    this.deaths += Number(healthOf(before, beforeMs) !== 'dead' && this.#is(healthOf) === 'dead');
    this.outdone += Number(!isOutdone(before, beforeMs) && this.#is(isOutdone));
  }

  #is<T>(what: (probe: PathProbe, nowMs: number) => T): T {
    return what(this.#probes.direct, this.#nowMs);
  }

  #hear(path: Path, event: ProbeEvent): void {
    this.#take(path, event);
    this.#take(OTHER[path], { type: 'other-answered', sentAtMs: answeredSentAtMs(this.#probes[path]) });
  }

  #take(path: Path, event: ProbeEvent): void {
    const use = path === 'direct' ? 'busy' : 'spare';
    const { probe, send } = nextProbe(this.#probes[path], event, { nowMs: this.#nowMs, use, paths: 2, lateMs: 0 });
    this.#probes[path] = probe;
    if (send === undefined) return;
    if (path === 'relay' || !this.#isDirectDead) this.#arrivals.push({ path, atMs: this.#answerMs(), sequence: send });
    const sinceMs = comparedSinceMs(probe, this.#nowMs);
    if (sinceMs === undefined) return;
    if (isWorthAsking(this.#probes[OTHER[path]], sinceMs, { nowMs: this.#nowMs, lateMs: 0 }))
      this.#take(OTHER[path], { type: 'due' });
  }

  #answerMs(): number {
    const { rttMs, stallMs, runMs, crowdMs } = this.#conditions;
    const reachesMs = this.#nowMs + rttMs / 2;
    const turnMs = (reachesMs - BEGIN_MS) % (stallMs + runMs);
    // It runs first.
    const waitsMs = turnMs < runMs ? 0 : stallMs + runMs - turnMs + this.#random() * crowdMs;
    return reachesMs + waitsMs + rttMs / 2;
  }
}
