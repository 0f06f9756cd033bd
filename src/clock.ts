import { performance } from 'node:perf_hooks';

/** Time as an argument, so that tests can own it. */
export interface Clock {
  /** Wall-clock time in ms since the epoch. For display and for records, never for time-outs. */
  nowMs(): number;
  /** Monotonic time in ms from an arbitrary start. For every time-out and back-off. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** Resolves after `ms`, or at once when `signal` aborts; never rejects, so that loops simply re-check the signal. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}

/** Node takes a longer time-out for none at all. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** Calls `fire` once after `ms` of monotonic time, however long that is, unless the returned function was called. */
export function startTimer(ms: number, fire: () => void): () => void {
  let timer = arm(ms);
  return () => clearTimeout(timer);

  function arm(leftMs: number): NodeJS.Timeout {
    const stepMs = Math.min(leftMs, TIMEOUT_MS_MAX);
    return setTimeout(() => (leftMs > stepMs ? void (timer = arm(leftMs - stepMs)) : fire()), stepMs);
  }
}
