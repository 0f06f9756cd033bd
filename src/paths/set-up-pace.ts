/*
 * How long a set-up of a direct path may take, from how long those took that have worked. Checks that work take little
 * more than a second. But a mediator has one exchange under way with each node, and every set-up needs two of them at both
 * ends: while a large mesh comes up they wait in line, and who gives one up too soon and has the other end try as well
 * makes the line longer, until charon holds on to a dead try at both ends, which nothing but its restart undoes.
 */

const PATIENCE_MS = { least: 6000, most: 60_000 } as const;
/** Four times what it usually takes. */
const PATIENCE_FACTOR = 4;
/** Share of the last one in the smoothed time. */
const GAIN = 1 / 4;

/**
 * What set-ups take, smoothed, in ms, after one that this node began and that has worked; undefined before the first. One
 * that took ages counts as one that took as long as matters.
 */
export function afterSetUp(tookMs: number | undefined, lastMs: number): number {
  const countedMs = Math.min(lastMs, PATIENCE_MS.most / PATIENCE_FACTOR);
  return tookMs === undefined ? countedMs : tookMs + GAIN * (countedMs - tookMs);
}

/** Ms that a set-up may take before it counts as one that hangs, where they take so long. */
export function patienceMs(tookMs = 0): number {
  return Math.min(PATIENCE_MS.most, Math.max(PATIENCE_MS.least, PATIENCE_FACTOR * tookMs));
}
