import type { Lab } from '../../lab/lab.ts';
import { dataPlane } from '../../lab/surroundings.ts';
import type { NodeName } from '../../lab/topology.ts';

/** How many packets the kernel has dropped, by the name of its reason. */
export type Drops = ReadonlyMap<string, number>;

/**
 * Why the kernel has dropped packets of IPsec on these nodes since they have a network, by its own counters
 * (`/proc/net/xfrm_stat`). Undefined where charon carries the packets.
 */
export async function kernelDrops(lab: Lab, nodes: readonly NodeName[]): Promise<Drops | undefined> {
  if (dataPlane() !== 'kernel') return undefined;
  const tables = await Promise.all(nodes.map((node) => lab.exec(node, ['cat', '/proc/net/xfrm_stat'])));
  return totalsOf(tables.map(({ stdout }) => stdout));
}

/** The sums over several tables. */
export function totalsOf(tables: readonly string[]): Drops {
  const counts = new Map<string, number>();
  for (const [, name = '', count = '0'] of tables.flatMap((table) => [...table.matchAll(/^(\w+)\s+(\d+)$/gm)])) {
    counts.set(name, (counts.get(name) ?? 0) + Number(count));
  }
  return counts;
}

/** What came in between, such as `XfrmInTmplMismatch 3`. */
export function dropsBetween(before: Drops, after: Drops): string {
  const more = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
  return (
    more
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  );
}
