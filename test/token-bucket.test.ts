import { expect, it } from 'vitest';
import { TokenBucket } from '../src/token-bucket.ts';
import { ManualClock } from './reconcile/memory-charon.ts';

const taken = (bucket: TokenBucket, tries: number): number =>
  Array.from({ length: tries }, () => bucket.take()).filter(Boolean).length;

it('lets a burst through, then so many a second, and never saves up more than a burst', () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, clock);
  expect(taken(bucket, 20)).toBe(5);
  clock.advance(250);
  expect(taken(bucket, 20)).toBe(2);
  clock.advance(3_600_000);
  expect(taken(bucket, 20)).toBe(5);
});

it('gives credit, and says how long until it is paid back', () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, clock);
  expect(bucket.spend(5)).toBe(0);
  expect(bucket.spend(20)).toBe(2000);
  clock.advance(500);
  expect(bucket.spend(0)).toBe(1500);
  expect(bucket.take()).toBe(false);
  clock.advance(1600);
  expect(bucket.spend(0)).toBe(0);
});
