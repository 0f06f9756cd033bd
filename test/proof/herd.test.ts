import { expect, it } from 'vitest';
import { CompiledProofs } from './compiled.ts';
import { herdOutages } from './herd.ts';

it('every node is back after the coordinator was away', { timeout: 120_000 }, async () => {
  await using compiled = await CompiledProofs.make();
  const [backAfterMs = []] = await herdOutages({
    program: compiled.bin('cygnet-coordinator'),
    holder: compiled.program('light-nodes'),
    nodes: 50,
    processes: 1,
    outages: [1],
    say: () => undefined,
  });
  expect(backAfterMs).toHaveLength(50);
  expect(Math.max(...backAfterMs)).toBeLessThan(60_000);
});
