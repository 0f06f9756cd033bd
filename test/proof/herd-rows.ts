import { fileURLToPath } from 'node:url';
import { limit } from '../bench/row.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { herdOutages } from './herd.ts';
import type { Proof } from './proof.ts';

const NODES = 1000;
const PROCESSES = 2;
/** Each number of seconds that the coordinator is away; the long one drives all back-offs to their end. */
const OUTAGES = [1, 75] as const;
const BACK_S_MAX = 60;
/** Of so many, in one second; the mean of the long outage is 20. */
const BUSIEST_MAX = 100;

const timeName = (outage: number): string => `1,000 nodes back after a coordinator outage of ${outage} s`;
const BUSIEST = `1,000 nodes, those of them that come back in the busiest second after ${OUTAGES[1]} s`;

/** A thousand agents' control channels, and a coordinator that is restarted. */
export const herd: Proof = {
  names: [...OUTAGES.map(timeName), BUSIEST],
  measure: async (say) => {
    const holder = fileURLToPath(new URL('light-nodes.js', import.meta.url));
    const options = { program: COORDINATOR, holder, nodes: NODES, processes: PROCESSES, outages: OUTAGES, say };
    const all = await herdOutages(options);
    for (const backAfterMs of all) say(`back in each second: ${perSecond(backAfterMs).join(' ')}`);
    return [
      ...all.map((backAfterMs, index) =>
        limit(timeName(OUTAGES[index] ?? 0), 's', [Math.max(...backAfterMs) / 1000], BACK_S_MAX),
      ),
      limit(BUSIEST, 'nodes', [Math.max(...perSecond(all.at(-1) ?? []))], BUSIEST_MAX),
    ];
  },
};

/** How many came back in each second. */
function perSecond(backAfterMs: readonly number[]): number[] {
  const counts: number[] = Array(Math.ceil(Math.max(...backAfterMs) / 1000) + 1).fill(0) as number[];
  for (const ms of backAfterMs) {
    const second = Math.max(0, Math.floor(ms / 1000));
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return counts;
}
