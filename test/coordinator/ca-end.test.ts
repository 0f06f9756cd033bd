import { expect, it } from 'vitest';
import { CaEnd } from '../../src/coordinator/ca-end.ts';
import { createLogger } from '../../src/log.ts';

const DAY_MS = 86_400_000;

it('the end of the CA is told from 90 days before it on, once a day', () => {
  let nowMs = Date.UTC(2030, 0, 1);
  const told: string[] = [];
  const caEnd = new CaEnd({
    notAfterMs: nowMs + 100 * DAY_MS,
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: createLogger('test', 'silent'),
    note: (message) => told.push(message),
  });
  const pass = (days: number): void => {
    for (const endMs = nowMs + days * DAY_MS; nowMs < endMs; nowMs += DAY_MS / 24) caEnd.tell();
  };
  pass(10);
  expect(told).toEqual([]);
  pass(3);
  expect(told).toHaveLength(3);
  expect(told[0]).toMatch(/valid until 2030-04-11T00:00:00.000Z/);
});
