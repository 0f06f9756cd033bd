import { expect, it } from 'vitest';
import { parseCost } from './process-cost.ts';

it('reads processor time and memory of a process, whatever its name holds', () => {
  const stat = '4711 (a ) b) S 1 4711 4711 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 11 0 3000 1000 200';
  expect(parseCost(stat, 'Name:\ta\nVmRSS:\t   20480 kB\n')).toEqual({ cpuSeconds: 3, residentMb: 20 });
});

it('a process that has ended has cost nothing more', () => {
  expect(parseCost('', '')).toEqual({ cpuSeconds: 0, residentMb: 0 });
});
