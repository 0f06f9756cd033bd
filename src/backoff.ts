export interface BackoffPolicy {
  /** Ceiling of the first delay in ms; doubles with every retry. */
  readonly baseMs: number;
  /** Ceiling of every delay in ms. */
  readonly maxMs: number;
}

/** Full-jitter delay in ms before retry number `retry` (1 = first). `random` yields [0, 1). */
export function backoffMs(retry: number, policy: BackoffPolicy, random: () => number): number {
  const ceilingMs = Math.min(policy.maxMs, policy.baseMs * 2 ** Math.min(retry - 1, 30));
  return Math.round(random() * ceilingMs);
}
