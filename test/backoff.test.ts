import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { backoffMs } from '../src/backoff.ts';

const policy = { baseMs: 500, maxMs: 60_000 };

it('doubles its ceiling with every retry, up to the largest', () =>
  expect([1, 2, 3, 8, 9, 1000].map((retry) => backoffMs(retry, policy, () => 1))).toEqual([
    500, 1000, 2000, 60_000, 60_000, 60_000,
  ]));

it('is anywhere below its ceiling, so that a thousand nodes do not come back at once', () =>
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (retry, random) => {
        const ceilingMs = backoffMs(retry, policy, () => 1);
        expect(backoffMs(retry, policy, () => random)).toBe(Math.round(random * ceilingMs));
      },
    ),
  ));
