import { describe, expect, it } from 'vitest';
import { afterSetUp, patienceMs } from '../../src/paths/set-up-pace.ts';

const patienceAfter = (...tookMs: readonly number[]): number =>
  patienceMs(tookMs.reduce<number | undefined>(afterSetUp, undefined));

describe('the patience with a set-up', () => {
  it('is six seconds before any has worked', () => expect(patienceMs()).toBe(6000));

  it('is six seconds while they take what they usually do', () => expect(patienceAfter(1100, 1200, 1030)).toBe(6000));

  it('is four times of what they take where they have to wait for the mediator', () => {
    expect(patienceAfter(5000)).toBe(20_000);
    expect(patienceAfter(5000, 5000, 5000)).toBe(20_000);
  });

  it('is a minute at the most: charon gives up then', () => expect(patienceAfter(40_000)).toBe(60_000));

  it('comes back to six seconds when they are quick again', () => {
    const quick = Array.from({ length: 16 }, () => 1100);
    expect(patienceAfter(40_000, ...quick.slice(0, 1))).toBe(46_100);
    expect(patienceAfter(40_000, ...quick)).toBe(6000);
  });
});
