import { stringify } from 'yaml';
import type { Network } from './network.ts';
import type { NodeName } from './topology.ts';

/** A link of the seed: two nodes whose LANs should reach each other. */
export type SeedLink = readonly [NodeName, NodeName];

/** What the seed connects: its two sites with each other, and each with the hub. */
export const SEED_LINKS: readonly SeedLink[] = [
  ['edge1', 'remote'],
  ['edge1', 'master1'],
  ['remote', 'master1'],
];

/** The mesh spec (YAML) for all nodes of a lab, with these links. */
export function meshSpec(
  { topology: { hub, edges } }: Pick<Network, 'topology'>,
  links: readonly SeedLink[] = SEED_LINKS,
): string {
  return stringify({
    nodes: {
      [hub.name]: { roles: ['mediator', 'hub'], endpoint: hub.address, subnets: [hub.lan.subnet] },
      ...Object.fromEntries(edges.map(({ name, lan }) => [name, { subnets: [lan.subnet] }])),
    },
    links,
  });
}
