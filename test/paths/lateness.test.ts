import { expect, it } from 'vitest';
import { afterAnswer } from '../../src/paths/lateness.ts';

const after = (...lateBy: readonly number[]): number => lateBy.reduce(afterAnswer, 0);

it('answers that are late show within a few, and those that are in time again as soon', () => {
  const late = Array.from({ length: 16 }, () => 2000);
  expect(after(...late)).toBeGreaterThan(1700);
  expect(after(...late, ...late.map(() => 0))).toBeLessThan(300);
});

it('one that is late among many hardly counts, and one that is early does not make up for it', () => {
  expect(after(0, 0, 4000, 0, 0)).toBeLessThan(500);
  expect(after(800, -9000)).toBe(after(800, 0));
});

it('an answer that took ages counts as one of four seconds', () => expect(after(60_000)).toBe(after(4000)));
