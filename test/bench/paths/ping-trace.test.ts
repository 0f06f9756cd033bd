import { describe, expect, it } from 'vitest';
import { directSinceMs, isFlowing, isFlowingDirectly, lostAtMs, outageMs, type PingTrace } from './ping-trace.ts';

describe('a flow', () => {
  it('is ten answers in a row, the last of them now', () => {
    expect(isFlowing(trace([0, 10]), 1000)).toBe(true);
    expect(isFlowing(trace([0, 9]), 900)).toBe(false);
    expect(isFlowing(trace([0, 10]), 2000)).toBe(false);
    expect(isFlowing(trace([0, 5], [30, 5]), 3500)).toBe(false);
  });

  it('is direct when no router was on the way of any of them', () => {
    expect(isFlowingDirectly(trace([0, 10]), 1000)).toBe(true);
    expect(isFlowingDirectly(trace([0, 9], [9, 1, 63]), 1000)).toBe(false);
  });
});

describe('an outage', () => {
  it('ends with the first answer after its gap', () => expect(outageMs(trace([0, 10], [50, 10]), 1000)).toBe(4000));

  it('of several ends with the last', () => expect(outageMs(trace([0, 10], [30, 5], [60, 10]), 1000)).toBe(5000));

  it('before the harm is none', () => expect(outageMs(trace([0, 5], [30, 20]), 4000)).toBe(0));

  it('is none while everything is answered', () => expect(outageMs(trace([0, 50]), 1000)).toBe(0));

  it('may begin at once', () => expect(outageMs(trace([0, 11], [41, 10]), 1000)).toBe(3100));
});

describe('direct answers', () => {
  it('are counted from the last one that was not', () =>
    expect(directSinceMs(trace([0, 5], [5, 5, 63], [10, 5]))).toBe(1000));

  it('are none while the last one was not', () => expect(directSinceMs(trace([0, 5], [5, 5, 63]))).toBeUndefined());
});

it('knows when the packets without an answer were sent', () => {
  expect(lostAtMs(trace([0, 5], [7, 5]))).toEqual([500, 600]);
  expect(lostAtMs(trace([3, 9]))).toEqual([]);
});

/** Answers at a tenth of a second, in runs of [first, count, ttl]. */
function trace(...runs: readonly (readonly [first: number, count: number, ttl?: number])[]): PingTrace {
  const replies = runs.flatMap(([first, count, ttl = 64]) =>
    Array.from({ length: count }, (_, index) => ({ atMs: (first + index) * 100, sequence: first + index, ttl })),
  );
  return { replies, intervalMs: 100 };
}
