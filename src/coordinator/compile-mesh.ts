import {
  BARRED_MAX,
  type ChildConfig,
  type ChildName,
  type Connection,
  type ConnectionName,
  type IkeParameters,
  type LinkId,
  type NodeName,
} from '../ike/connection.ts';
import type { DesiredLink, DesiredState, MeshAddressPair } from '../ike/desired-state.ts';
import { mergedCidrs } from '../ike/traffic-selector.ts';
import { mediationIdentity, mediationWildcard, tunnelIdentity, tunnelWildcard } from '../identity/names.ts';
import {
  fromSpokeName,
  MEDIATION_SERVER,
  mediationClientName,
  peerName,
  SECOND_MEDIATION_SERVER,
  toHubName,
} from './connection-names.ts';
import { relayAddressOf } from './mesh-addresses.ts';
import type { MeshSpec, NodeSpec } from './mesh-spec.ts';
import { otherEnd, planTopology, type HubPair, type PlannedLink, type Topology } from './topology.ts';

/** IPsec policy priorities: the lower one wins, so traffic takes the direct path as soon as it is installed. */
const PRIORITY = { direct: 1000, relay: 2000 } as const;

export interface MeshIdentity {
  /** The mesh's name; tunnel identities end in it. */
  readonly mesh: string;
  /** What mediation identities begin with, `C=CN, O=Local Cluster`. */
  readonly subject: string;
}

/** Mesh addresses by node; a mesh without any has an empty map. */
export type MeshAddresses = ReadonlyMap<NodeName, string>;

/**
 * Every node's desired state, from a checked spec; pure, and equal input gives equal states. A link has a child of its
 * own wherever it passes, so that adding or removing one never touches the child of another. `barred`: revoked nodes,
 * which are not part of the spec and which no mediator may keep.
 */
export function compileMesh(
  spec: MeshSpec,
  identity: MeshIdentity,
  addresses: MeshAddresses,
  barred: readonly NodeName[] = [],
): ReadonlyMap<NodeName, DesiredState> {
  const compiler = new Compiler(spec, identity, addresses, barred);
  return new Map([...spec.nodes].map(([name, node]) => [name, compiler.stateOf(name, node)]));
}

/** What a node is told that is no longer part of the mesh: to let go of everything. */
export function emptyState(mesh: string, node: NodeName): DesiredState {
  return { version: 1, mesh, node, connections: [], links: [] };
}

interface RankedMediator {
  readonly mediator: NodeName;
  /** Its place among the link's mediators. */
  readonly rank: number;
}

class Compiler {
  readonly #spec: MeshSpec;
  readonly #identity: MeshIdentity;
  readonly #addresses: MeshAddresses;
  readonly #barred: readonly NodeName[];
  readonly #topology: Topology;
  readonly #linksOfNode: ReadonlyMap<NodeName, readonly PlannedLink[]>;
  /** Each node's subnets as selectors: a node has them in all of its links, on each path. */
  readonly #merged = new Map<NodeName, readonly string[]>();

  constructor(spec: MeshSpec, identity: MeshIdentity, addresses: MeshAddresses, barred: readonly NodeName[]) {
    this.#spec = spec;
    this.#barred = barred;
    this.#addresses = addresses;
    this.#identity = identity;
    this.#topology = planTopology(spec);
    this.#linksOfNode = linksByNode(this.#topology.links);
  }

  stateOf(name: NodeName, node: NodeSpec): DesiredState {
    const links = this.#linksOfNode.get(name) ?? [];
    const ownLinks = links.filter(({ ends }) => ends.includes(name));
    const connections = [
      ...(node.roles.includes('mediator') ? this.#mediationServers(name) : []),
      ...this.#mediationClients(name, ownLinks),
      ...ownLinks.flatMap((link) => link.mediators.map((mediator, rank) => this.#peer(name, link, { mediator, rank }))),
      ...this.#hubTunnels(name, links),
    ].sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      ...emptyState(this.#identity.mesh, name),
      ...this.#pairOf(name, 'addresses'),
      connections,
      links: ownLinks.map((link) => this.#desiredLink(name, link)),
    };
  }

  /** One for each of a node's identities. */
  #mediationServers(name: NodeName): Connection[] {
    const common = {
      kind: 'mediation-server',
      localId: this.#mediationId(name),
      ike: this.#ike(name, 'mediation'),
      ...(this.#barred.length > 0 && { barred: this.#barred.slice(0, BARRED_MAX) }),
    } as const;
    return [
      { ...common, name: MEDIATION_SERVER, remoteId: mediationWildcard(this.#identity.subject) },
      { ...common, name: SECOND_MEDIATION_SERVER, remoteId: tunnelWildcard(this.#identity.mesh) },
    ];
  }

  #mediationClients(name: NodeName, links: readonly PlannedLink[]): Connection[] {
    const mediated = links.filter((link) => link.mediators.length > 0);
    if (mediated.length === 0) return [];
    const start = mediated.some((link) => this.#startOf(link) === 'start') ? 'start' : 'add';
    return this.#topology.mediators.map((mediator) => ({
      kind: 'mediation-client',
      name: mediationClientName(mediator),
      localId: this.#mediationId(name),
      remoteId: this.#mediationId(mediator),
      ike: this.#ike(name, 'mediation'),
      mediator,
      remoteAddresses: this.#node(mediator).endpoints,
      virtualIps: this.#node(name).virtualIps,
      start,
    }));
  }

  #peer(name: NodeName, link: PlannedLink, { mediator, rank }: RankedMediator): Connection {
    const peer = otherEnd(link.ends, name);
    return {
      kind: 'mediated-peer',
      name: peerName(peer, mediator, rank),
      localId: this.#mediationId(name),
      remoteId: this.#mediationId(peer),
      ike: this.#ike(name, 'mediation'),
      peer,
      mediatedBy: mediationClientName(mediator),
      mediationPeer: this.#mediationId(peer),
      children: [this.#child(link, name, 'direct', 0)],
    };
  }

  /** This node's tunnels to hubs, and those of its spokes if it is one itself. */
  #hubTunnels(name: NodeName, links: readonly PlannedLink[]): Connection[] {
    const tunnels = new Map<ConnectionName, { readonly pair: HubPair; readonly links: PlannedLink[] }>();
    for (const link of links) {
      for (const pair of hubPairsOf(link)) {
        if (pair.hub !== name && pair.spoke !== name) continue;
        const connection = tunnelName(name, pair);
        const tunnel = tunnels.get(connection) ?? { pair, links: [] };
        tunnel.links.push(link);
        tunnels.set(connection, tunnel);
      }
    }
    return [...tunnels.values()].map((tunnel) => this.#hubTunnel(name, tunnel.pair, tunnel.links));
  }

  #hubTunnel(name: NodeName, { hub, spoke }: HubPair, links: readonly PlannedLink[]): Connection {
    const answers = name === hub;
    const peer = answers ? spoke : hub;
    const common = {
      name: tunnelName(name, { hub, spoke }),
      localId: tunnelIdentity(this.#identity.mesh, name),
      remoteId: tunnelIdentity(this.#identity.mesh, peer),
      ike: this.#ike(name, 'tunnel'),
      peer,
      children: links.map((link) => {
        const path = link.hubPair === undefined ? 'relay' : 'direct';
        const child = this.#child(link, spoke, path, Math.max(0, link.relayHubs.indexOf(hub)));
        return answers ? mirrored(child) : child;
      }),
    };
    if (answers) return { kind: 'hub', ...common };
    return { kind: 'spoke', ...common, remoteAddresses: this.#node(hub).endpoints, virtualIps: [] };
  }

  /** `rank`: the place of the hub among those of the link. */
  #child(link: PlannedLink, local: NodeName, path: keyof typeof PRIORITY, rank: number): ChildConfig {
    const { lifetime, margin, proposals } = { ...this.#spec.defaults.child, ...link.spec.child };
    return {
      name: childNameOf(link.id),
      link: link.id,
      localSubnets: this.#selectors(local, path),
      remoteSubnets: this.#selectors(otherEnd(link.ends, local), path),
      priority: PRIORITY[path] + rank,
      proposals,
      lifetimeSeconds: lifetime,
      marginSeconds: margin,
      start: this.#startOf(link),
    };
  }

  #desiredLink(name: NodeName, link: PlannedLink): DesiredLink {
    const peer = otherEnd(link.ends, name);
    const child = childNameOf(link.id);
    const direct = [
      ...(link.hubPair === undefined ? [] : [tunnelName(name, link.hubPair)]),
      ...link.mediators.map((mediator, rank) => peerName(peer, mediator, rank)),
    ];
    return {
      id: link.id,
      peer,
      localSubnets: this.#node(name).subnets,
      remoteSubnets: this.#node(peer).subnets,
      ...this.#pairOf(peer, 'peerAddresses'),
      direct: direct.map((connection) => ({ connection, child })),
      relay: link.relayHubs.map((hub) => ({ connection: toHubName(hub), child })),
    };
  }

  /** What a path leads to: the subnets, the mesh address, and on the relay the second address of the pair as well. */
  #selectors(name: NodeName, path: keyof typeof PRIORITY): string[] {
    const { subnets: written } = this.#node(name);
    const subnets = this.#merged.get(name) ?? mergedCidrs(written);
    this.#merged.set(name, subnets);
    const address = this.#addresses.get(name);
    if (address === undefined) return [...subnets];
    return [...subnets, path === 'relay' ? `${address}/31` : `${address}/32`];
  }

  #pairOf<K extends string>(name: NodeName, key: K): { readonly [P in K]?: MeshAddressPair } {
    const mesh = this.#addresses.get(name);
    if (mesh === undefined) return {};
    return { [key]: { mesh, relay: relayAddressOf(mesh) } } as { readonly [P in K]: MeshAddressPair };
  }

  #ike(name: NodeName, use: 'mediation' | 'tunnel'): IkeParameters {
    const parameters = { ...this.#spec.defaults.ike, ...this.#node(name).ike };
    return {
      proposals: parameters.proposals,
      lifetimeSeconds: parameters.lifetime,
      marginSeconds: parameters.margin,
      keyingTries: parameters.keyingTries,
      // charon's mediation extension does not work with MOBIKE.
      mobike: use === 'tunnel' && parameters.mobike,
      encap: parameters.encap,
      dpdDelaySeconds: parameters.dpdDelay,
    };
  }

  #startOf(link: PlannedLink): ChildConfig['start'] {
    return link.spec.start ?? this.#spec.defaults.start;
  }

  #mediationId(name: NodeName): string {
    return mediationIdentity(this.#identity.subject, name);
  }

  #node(name: NodeName): NodeSpec {
    const node = this.#spec.nodes.get(name);
    if (node === undefined) throw new TypeError(`a checked spec links only its own nodes, not ${name}`);
    return node;
  }
}

/** The hub tunnels that a link passes: its own when an end is a hub, those of both ends when it is relayed. */
function hubPairsOf(link: PlannedLink): readonly HubPair[] {
  if (link.hubPair !== undefined) return [link.hubPair];
  return link.relayHubs.flatMap((hub) => link.ends.map((spoke) => ({ hub, spoke })));
}

function tunnelName(name: NodeName, { hub, spoke }: HubPair): ConnectionName {
  return name === hub ? fromSpokeName(spoke) : toHubName(hub);
}

/** The hub's side of a spoke's child: the selectors swapped, and never the one to initiate. */
function mirrored(child: ChildConfig): ChildConfig {
  return { ...child, localSubnets: child.remoteSubnets, remoteSubnets: child.localSubnets, start: 'add' };
}

/** Within the limits of a child's name: the spec's checks see to it. */
function childNameOf(id: LinkId): ChildName {
  return id as string as ChildName;
}

/** Each node's links: those that end at it, and those that a hub relays. Order is kept. */
function linksByNode(links: readonly PlannedLink[]): ReadonlyMap<NodeName, readonly PlannedLink[]> {
  const byNode = new Map<NodeName, PlannedLink[]>();
  for (const link of links) {
    for (const node of [...link.ends, ...link.relayHubs]) {
      const list = byNode.get(node);
      if (list === undefined) byNode.set(node, [link]);
      else list.push(link);
    }
  }
  return byNode;
}
