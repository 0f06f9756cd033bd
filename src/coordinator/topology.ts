import type { LinkId, NodeName } from '../ike/connection.ts';
import { WAYS_MAX } from '../ike/desired-state.ts';
import { linkIdOf, type LinkSpec, type MeshSpec, type NodeSpec } from './mesh-spec.ts';

/** A tunnel between a node and a hub: the spoke initiates, the hub answers. */
export interface HubPair {
  readonly hub: NodeName;
  readonly spoke: NodeName;
}

/** One link of the spec, and the ways that traffic can take. */
export interface PlannedLink {
  readonly id: LinkId;
  /** In order of their names. */
  readonly ends: readonly [NodeName, NodeName];
  readonly spec: LinkSpec;
  /** The mediators through which the ends can set up a tunnel of their own, the preferred one first. */
  readonly mediators: readonly NodeName[];
  /** One end is a hub, so the tunnel to it is the direct path. */
  readonly hubPair?: HubPair;
  /** The hubs that carry the traffic while there is no direct path, the preferred one first. */
  readonly relayHubs: readonly NodeName[];
}

export interface Topology {
  /** In the order of the spec. */
  readonly mediators: readonly NodeName[];
  /** In order of their ids. */
  readonly links: readonly PlannedLink[];
}

/** Decides for every link of a checked spec which paths it has. */
export function planTopology(spec: MeshSpec): Topology {
  const withRole = (role: NodeSpec['roles'][number]): NodeName[] =>
    [...spec.nodes].flatMap(([name, node]) => (node.roles.includes(role) ? [name] : []));
  const mediators = withRole('mediator');
  const hubs = withRole('hub');
  const links = spec.links.map((link) => planLink(link, mediators, hubs)).sort((a, b) => (a.id < b.id ? -1 : 1));
  return { mediators, links };
}

function planLink(spec: LinkSpec, mediators: readonly NodeName[], hubs: readonly NodeName[]): PlannedLink {
  const ends = spec.between.toSorted() as [NodeName, NodeName];
  const common = { id: linkIdOf(...ends), ends, spec };
  const hub = ends.find((end) => hubs.includes(end));
  if (hub !== undefined) {
    return { ...common, hubPair: { hub, spoke: otherEnd(ends, hub) }, mediators: [], relayHubs: [] };
  }
  // A mediator is no client of itself, and must not become one of another: every medsrv would have to know all others.
  const canMediate = spec.path !== 'relay' && !ends.some((end) => mediators.includes(end));
  return {
    ...common,
    mediators: canMediate ? mediators.slice(0, WAYS_MAX) : [],
    relayHubs: spec.path === 'direct' ? [] : hubs.slice(0, WAYS_MAX),
  };
}

/** The end of a link that is not `node`. */
export function otherEnd(ends: readonly [NodeName, NodeName], node: NodeName): NodeName {
  return ends[0] === node ? ends[1] : ends[0];
}
