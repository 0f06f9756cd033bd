import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HintPace } from '../../src/coordinator/hint-pace.ts';
import type { NodeName } from '../../src/ike/connection.ts';

const EDGE = 'edge1' as NodeName;
const OTHER = 'edge2' as NodeName;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A pace that sends so many hints each time; `sent` is to whom. */
function paceOf(hints: number): { readonly pace: HintPace; readonly sent: NodeName[] } {
  const sent: NodeName[] = [];
  return { pace: new HintPace((node) => (sent.push(node), hints)), sent };
}

it('sends a few hints whenever they change', () => {
  const { pace, sent } = paceOf(8);
  for (let change = 0; change < 5; change += 1) pace.changed(EDGE);
  expect(sent).toHaveLength(5);
});

it('sends many at once, and what changes in the next moments once, after a rest', () => {
  const { pace, sent } = paceOf(40);
  for (let change = 0; change < 5; change += 1) pace.changed(EDGE);
  expect(sent).toEqual([EDGE]);
  vi.advanceTimersByTime(199);
  expect(sent).toEqual([EDGE]);
  vi.advanceTimersByTime(1);
  expect(sent).toEqual([EDGE, EDGE]);
});

it('sends nothing after a rest in which nothing has changed, and is ready for the next change', () => {
  const { pace, sent } = paceOf(40);
  pace.changed(EDGE);
  vi.advanceTimersByTime(10_000);
  expect(sent).toEqual([EDGE]);
  pace.changed(EDGE);
  expect(sent).toEqual([EDGE, EDGE]);
});

it('lets nobody wait for another, nor anybody for long', () => {
  const { pace, sent } = paceOf(4000);
  pace.changed(EDGE);
  pace.changed(OTHER);
  expect(sent).toEqual([EDGE, OTHER]);
  pace.changed(OTHER);
  vi.advanceTimersByTime(500);
  expect(sent).toEqual([EDGE, OTHER, OTHER]);
});

it('does not rest after hints that were no news', () => {
  const { pace, sent } = paceOf(0);
  pace.changed(EDGE);
  pace.changed(EDGE);
  expect(sent).toEqual([EDGE, EDGE]);
});
