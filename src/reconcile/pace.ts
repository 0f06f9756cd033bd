import { backoffMs, type BackoffPolicy } from '../backoff.ts';

/** What is remembered of tries that have not led to what they were for. */
export interface Attempt {
  readonly attempts: number;
  /** Monotonic ms; not tried again before. */
  readonly notBeforeMs: number;
  /** charon's words when it refused the last try; undefined while it has only not worked yet. */
  readonly refusal: string | undefined;
}

/** First retry within a second, then up to half a minute: a link that waits for its peer must not wait long. */
const POLICY: BackoffPolicy = { baseMs: 1000, maxMs: 30_000 };

/** One more attempt at `nowMs`. The wait is never less than half its ceiling, so that refusals cannot make a loop spin. */
export function nextAttempt(
  last: Attempt | undefined,
  refusal: string | undefined,
  { nowMs, random }: { readonly nowMs: number; readonly random: () => number },
): Attempt {
  const attempts = (last?.attempts ?? 0) + 1;
  const waitMs = backoffMs(attempts, POLICY, () => 0.5 + random() / 2);
  return { attempts, notBeforeMs: nowMs + waitMs, refusal };
}
