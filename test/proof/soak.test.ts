import { expect, it } from 'vitest';
import { ATTENTIVE_NODES, soak } from './soak.ts';

const [RECONNECTS, APPLIES] = [100, 50];
/** One for every second apply would be more. */
const MORE_OBJECTS_MAX = 20;
/** A kept text or buffer of 64 KiB for each apply would be more. */
const MORE_MEMORY_MB_MAX = 3;

it('a coordinator holds no more after many reconnects and applies than after a few', { timeout: 120_000 }, async () => {
  const options = { reconnects: RECONNECTS, applies: APPLIES, say: () => undefined };
  const { early, late, confirmed } = await soak(options);
  expect(confirmed).toBeGreaterThanOrEqual(APPLIES * ATTENTIVE_NODES);
  expect(late.descriptors).toBe(early.descriptors);
  expect(late.timers).toBe(early.timers);
  expect(late.objects - early.objects).toBeLessThan(MORE_OBJECTS_MAX);
  expect(late.memoryMb - early.memoryMb).toBeLessThan(MORE_MEMORY_MB_MAX);
});
