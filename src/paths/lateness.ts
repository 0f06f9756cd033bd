/*
 * How much later than usual answers come now, through all paths of one kind together. Where a hub, the peers or this node
 * itself wait for a processor, every answer is late at once, and a path that is seldom asked learns that last. Who takes all of
 * them for lost, and asks again and through the other paths, keeps up the load that makes them late.
 */

/** Share of one answer: a single peer that is late does not stand for all. */
const GAIN = 1 / 8;
/** One that is later counts as this: a path may die while others are late, too. */
const COUNTED_MS_MAX = 4000;

/** Ms, smoothed, after an answer that took so much longer than usual on its path; 0 or less: that was in time. */
export function afterAnswer(lateMs: number, thisLateMs: number): number {
  const countedMs = Math.min(COUNTED_MS_MAX, Math.max(0, thisLateMs));
  return lateMs + GAIN * (countedMs - lateMs);
}
