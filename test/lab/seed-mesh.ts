import { stringify } from 'yaml';
import type { Network } from './network.ts';
import { hubsOf, meshAddressOf, type HubName, type NodeName } from './topology.ts';

/** A link of the seed: two nodes whose LANs should reach each other. */
export type SeedLink = readonly [NodeName, NodeName];

/** One with a choice of its paths. */
export interface LinkOnPath {
  readonly between: SeedLink;
  readonly path: 'auto' | 'direct' | 'relay';
}

/** What the seed connects: its two sites with each other, and each with the hub. */
export const SEED_LINKS: readonly SeedLink[] = [
  ['edge1', 'remote'],
  ['edge1', 'master1'],
  ['remote', 'master1'],
];

/** What the hubs of a lab are in a mesh; default for each: both. */
export type HubRoles = Readonly<Partial<Record<HubName, readonly ('mediator' | 'hub')[]>>>;

/** The mesh spec (YAML) for all nodes of a lab, with these links. */
export function meshSpec(
  { topology }: Pick<Network, 'topology'>,
  links: readonly (SeedLink | LinkOnPath)[] = SEED_LINKS,
  roles: HubRoles = {},
): string {
  return stringify({
    nodes: {
      ...Object.fromEntries(
        hubsOf(topology).map(({ name, address, lan }) => [
          name,
          {
            roles: roles[name] ?? ['mediator', 'hub'],
            endpoint: address,
            subnets: [lan.subnet],
            meshAddress: meshAddressOf(name),
          },
        ]),
      ),
      ...Object.fromEntries(
        topology.edges.map(({ name, lan }) => [name, { subnets: [lan.subnet], meshAddress: meshAddressOf(name) }]),
      ),
    },
    links,
  });
}
