import { expect, it } from 'vitest';
import { soak } from './soak.ts';

const HEAP_MB_MAX = 16;

it('a coordinator holds no more after many reconnects and applies than after a few', { timeout: 120_000 }, async () => {
  const { early, late } = await soak({ reconnects: 100, applies: 50, say: () => undefined });
  expect(late.descriptors).toBe(early.descriptors);
  expect(late.timers).toBe(early.timers);
  expect(late.heapMb - early.heapMb).toBeLessThan(HEAP_MB_MAX);
});
