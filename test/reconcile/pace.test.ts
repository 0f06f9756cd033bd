import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { nextAttempt, type Attempt } from '../../src/reconcile/pace.ts';

const attemptsWith = (random: number, count: number): Attempt[] => {
  const attempts: Attempt[] = [];
  for (let index = 0; index < count; index += 1) {
    attempts.push(nextAttempt(attempts.at(-1), undefined, { nowMs: 0, random: () => random }));
  }
  return attempts;
};

it('waits twice as long each time, from a second up to half a minute', () => {
  const waits = attemptsWith(0.999_999_999, 8).map(({ notBeforeMs }) => notBeforeMs);
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
});

it('never waits less than half of that, so that refusals cannot make a loop spin', () =>
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(2000), (random, count) => {
      const last = attemptsWith(random, count + 1).at(-1)!;
      expect(last.notBeforeMs).toBeGreaterThanOrEqual(500);
      expect(last.notBeforeMs).toBeLessThanOrEqual(30_000);
      expect(last.attempts).toBe(count + 1);
    }),
    { numRuns: 30 },
  ));

it('keeps what charon said last', () => {
  const refused = nextAttempt(undefined, 'invalid value', { nowMs: 5, random: () => 0 });
  expect(refused).toEqual({ attempts: 1, notBeforeMs: 505, refusal: 'invalid value' });
  expect(nextAttempt(refused, undefined, { nowMs: 5, random: () => 0 }).refusal).toBeUndefined();
});
