export interface SteadyOptions<T> {
  readonly look: () => Promise<T>;
  readonly isRight: (seen: T) => boolean;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** From one look to the next. */
  readonly everyMs: number;
  /** For so long each look has to find all right. */
  readonly steadyMs: number;
  /** What is not right and steady by then is given up. */
  readonly limitMs: number;
}

export interface Steady<T> {
  /** The last look. */
  readonly seen: T;
  /** Ms until the first look from which on all were right; undefined when that did not last long enough. */
  readonly rightAfterMs: number | undefined;
  /** How often all was right, and a later look found that it was not any more. */
  readonly relapses: number;
}

/** Looks again and again until all is right and has been so for a while, or until the limit. */
export async function untilSteady<T>(options: SteadyOptions<T>): Promise<Steady<T>> {
  const { look, isRight, nowMs, pause, everyMs, steadyMs, limitMs } = options;
  const startMs = nowMs();
  let rightAfterMs: number | undefined;
  let relapses = 0;
  for (;;) {
    const seen = await look();
    const passedMs = nowMs() - startMs;
    if (!isRight(seen)) {
      relapses += rightAfterMs === undefined ? 0 : 1;
      rightAfterMs = undefined;
    } else rightAfterMs ??= passedMs;
    const isSteady = passedMs - (rightAfterMs ?? Infinity) >= steadyMs;
    if (isSteady) return { seen, rightAfterMs, relapses };
    if (passedMs >= limitMs) return { seen, rightAfterMs: undefined, relapses };
    await pause(everyMs);
  }
}
