/**
 * Who is where. The seed's topology, on one machine:
 *
 *     wan      203.0.113.0/24               master1  203.0.113.10, mediator and hub, LAN 10.233.97.0/24
 *     nat1     203.0.113.21 | 192.168.1.1   edge1    192.168.1.2, LAN 7.7.7.0/24
 *     nat2     203.0.113.22 | 192.168.2.1   remote   192.168.2.2, LAN 7.7.8.0/24
 *     nat3     203.0.113.23 | 192.168.3.1   edge3    192.168.3.2, LAN 7.7.9.0/24, only when asked for
 */

/** `cone` keeps the source port, hole punching works; `symmetric` takes a new port for every destination. */
export type NatKind = 'cone' | 'symmetric';

/** The empty network behind a node; its one address is the node's own. */
export interface Lan {
  readonly subnet: string;
  readonly address: string;
  /** A free address in the subnet that the hub holds: see `network.ts`. */
  readonly hubAddress: string;
}

export interface HubNode {
  readonly name: 'master1';
  /** On the WAN. */
  readonly address: string;
  readonly lan: Lan;
}

export interface NatRouter {
  readonly name: string;
  readonly kind: NatKind;
  /** On the WAN; what others see of the node behind it. */
  readonly address: string;
  readonly insideAddress: string;
}

export interface EdgeNode {
  readonly name: EdgeName;
  readonly nat: NatRouter;
  readonly address: string;
  readonly lan: Lan;
}

export interface Topology {
  readonly hub: HubNode;
  readonly edges: readonly EdgeNode[];
}

export type EdgeName = 'edge1' | 'remote' | 'edge3';
export type NodeName = 'master1' | EdgeName;

/** The network number of each edge: 192.168.N.0/24, nat N. */
const EDGE_NUMBERS: Readonly<Record<EdgeName, number>> = { edge1: 1, remote: 2, edge3: 3 };

export interface TopologyOptions {
  /** Nodes behind a NAT. Default: the seed's two. */
  readonly edges?: readonly EdgeName[];
  /** Default for each: cone. */
  readonly nat?: Readonly<Partial<Record<EdgeName, NatKind>>>;
}

export function topologyOf({ edges = ['edge1', 'remote'], nat = {} }: TopologyOptions = {}): Topology {
  return {
    hub: { name: 'master1', address: '203.0.113.10', lan: lanOf('10.233.97') },
    edges: edges.map((name) => edgeOf(name, nat[name] ?? 'cone')),
  };
}

function edgeOf(name: EdgeName, kind: NatKind): EdgeNode {
  const number = EDGE_NUMBERS[name];
  const inside = `192.168.${number}`;
  return {
    name,
    nat: { name: `nat${number}`, kind, address: `203.0.113.${20 + number}`, insideAddress: `${inside}.1` },
    address: `${inside}.2`,
    lan: lanOf(`7.7.${6 + number}`),
  };
}

function lanOf(prefix: string): Lan {
  return { subnet: `${prefix}.0/24`, address: `${prefix}.1`, hubAddress: `${prefix}.254` };
}
