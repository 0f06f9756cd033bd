/**
 * Who is where. The seed's topology, on one machine:
 *
 *     wan      203.0.113.0/24               master1  203.0.113.10, mediator and hub, LAN 10.233.97.0/24
 *     nat1     203.0.113.21 | 192.168.1.1   edge1    192.168.1.2, LAN 7.7.7.0/24
 *     nat2     203.0.113.22 | 192.168.2.1   remote   192.168.2.2, LAN 7.7.8.0/24
 *     nat3     203.0.113.23 | 192.168.3.1   edge3    192.168.3.2, LAN 7.7.9.0/24, only when asked for
 *
 * What can be asked for beside it: a second mediator and hub, `master2`, 203.0.113.11, LAN 10.233.98.0/24; an edge
 * without a NAT, 203.0.113.3N; an edge behind the router of another, with the next free address there; a second router
 * `carrierN`, 203.0.113.2N | 100.64.N.1, in front of natN, which then is 100.64.N.2; and any number of sites, `site1` and
 * so on, up to `site40`. The seed's edges are the first three of a row, site1 is the 31st: siteN is 192.168.(30 + N).2
 * behind natM, M = 30 + N, or on the WAN itself, 203.0.113.(50 + N) either way, LAN 7.7.(36 + N).0/24.
 */

/**
 * What is between an edge and the WAN. `cone` keeps the source port, hole punching works; `symmetric` takes a new port
 * for every destination; `udp-blocked` is a cone that lets no UDP pass but to and from the hubs.
 */
export const NAT_KINDS = ['none', 'cone', 'symmetric', 'udp-blocked'] as const;
export type NatKind = (typeof NAT_KINDS)[number];

/** The empty network behind a node; its one address is the node's own. */
export interface Lan {
  readonly subnet: string;
  readonly address: string;
  /** A free address in the subnet that the hubs hold: see `network.ts`. */
  readonly hubAddress: string;
}

export interface HubNode {
  readonly name: HubName;
  /** On the WAN. */
  readonly address: string;
  readonly lan: Lan;
}

export interface NatRouter {
  readonly name: string;
  readonly kind: Exclude<NatKind, 'none'>;
  /** On the WAN, or inside of the router in front of it. */
  readonly address: string;
  readonly insideAddress: string;
  /** The router in front of it; undefined when that is the WAN. */
  readonly behind: NatRouter | undefined;
}

export interface EdgeNode {
  readonly name: EdgeName;
  /** Undefined: the node is on the WAN itself. Two nodes may have the same router. */
  readonly nat: NatRouter | undefined;
  readonly address: string;
  readonly lan: Lan;
}

export interface Topology {
  readonly hub: HubNode;
  readonly secondHub?: HubNode;
  readonly edges: readonly EdgeNode[];
}

export type HubName = 'master1' | 'master2';
export type SeedEdgeName = 'edge1' | 'remote' | 'edge3';
/** One of many that are alike. */
export type SiteName = `site${number}`;
export type EdgeName = SeedEdgeName | SiteName;
export type NodeName = HubName | EdgeName;

/**
 * Mesh addresses, the even ones of pairs: those that the coordinator would give to the seed's nodes, in a spec that names
 * the hub first.
 */
export const MESH_ADDRESSES: Readonly<Record<HubName | SeedEdgeName, string>> = {
  master1: '100.96.0.2',
  edge1: '100.96.0.4',
  remote: '100.96.0.6',
  edge3: '100.96.0.8',
  master2: '100.96.0.10',
};

/** The network number of each edge: 192.168.N.0/24, nat N. */
const EDGE_NUMBERS: Readonly<Record<SeedEdgeName, number>> = { edge1: 1, remote: 2, edge3: 3 };
const BEFORE_SITE1 = 30;
/** So many have an address on the WAN, and another one to move to. */
export const SITES_MAX = 40;

/** The names of the first sites. Throws RangeError for more than there can be. */
export function sites(count: number): readonly SiteName[] {
  if (count > SITES_MAX) throw new RangeError(`${count} sites: at most ${SITES_MAX} have addresses`);
  return Array.from({ length: count }, (_, index): SiteName => `site${index + 1}`);
}

export function meshAddressOf(node: NodeName): string {
  return isSite(node) ? `100.96.1.${2 * siteNumberOf(node)}` : MESH_ADDRESSES[node];
}

/** Both of a node's pair: the even one, which is {@link meshAddressOf}, and the odd one of the relay. */
export function meshAddressPairOf(node: NodeName): readonly [string, string] {
  const even = meshAddressOf(node);
  return [even, even.replace(/\d+$/, (last) => `${Number(last) + 1}`)];
}

function isSite(node: NodeName): node is SiteName {
  return node.startsWith('site');
}

function siteNumberOf(site: SiteName): number {
  return Number(site.slice('site'.length));
}

function numberOf(edge: EdgeName): number {
  return isSite(edge) ? BEFORE_SITE1 + siteNumberOf(edge) : EDGE_NUMBERS[edge];
}

/** Of an edge's router, or of the edge itself when it has none. */
function wanAddressOf(edge: EdgeName, hasNat: boolean): string {
  const base = hasNat || isSite(edge) ? 20 : 30;
  return `203.0.113.${base + numberOf(edge)}`;
}

export interface TopologyOptions {
  /** Nodes that are no hub. Default: the seed's two. */
  readonly edges?: readonly EdgeName[];
  /** Default for each: cone. With a double NAT, the kind of the outer router; the inner one is a cone. */
  readonly nat?: Readonly<Partial<Record<EdgeName, NatKind>>>;
  /** Edges with two routers in front of them. */
  readonly doubleNat?: readonly EdgeName[];
  /** An edge, and the one behind whose router it is; that one comes before it in `edges`. */
  readonly sameNat?: Readonly<Partial<Record<EdgeName, EdgeName>>>;
  /** Default: only master1. */
  readonly secondHub?: boolean;
}

export function topologyOf(options: TopologyOptions = {}): Topology {
  const edges: EdgeNode[] = [];
  for (const name of options.edges ?? ['edge1', 'remote']) edges.push(edgeOf(name, options, edges));
  return {
    hub: { name: 'master1', address: '203.0.113.10', lan: lanOf('10.233.97') },
    ...(options.secondHub && {
      secondHub: { name: 'master2', address: '203.0.113.11', lan: lanOf('10.233.98') },
    }),
    edges,
  };
}

/** Every mediator and hub of it, master1 first. */
export function hubsOf({ hub, secondHub }: Topology): readonly HubNode[] {
  return secondHub === undefined ? [hub] : [hub, secondHub];
}

/** Every router of it, each after the one in front of it. */
export function routersOf({ edges }: Topology): readonly NatRouter[] {
  return [...new Set(edges.flatMap(({ nat }) => [nat?.behind, nat]))].filter((router) => router !== undefined);
}

/** What has the WAN address under which others see an edge: the outermost router, or the edge itself. */
export function wanSideOf({ name, address, nat }: EdgeNode): { readonly name: string; readonly address: string } {
  return nat?.behind ?? nat ?? { name, address };
}

function edgeOf(name: EdgeName, options: TopologyOptions, before: readonly EdgeNode[]): EdgeNode {
  const lan = lanOf(`7.7.${6 + numberOf(name)}`);
  const sharedWith = options.sameNat?.[name];
  const nat = before.find((edge) => edge.name === sharedWith)?.nat ?? routerOf(name, options);
  if (nat === undefined) return { name, nat, address: wanAddressOf(name, false), lan };
  const neighbours = before.filter((edge) => edge.nat === nat).length;
  return { name, nat, address: nat.insideAddress.replace(/1$/, `${2 + neighbours}`), lan };
}

function routerOf(edge: EdgeName, { nat = {}, doubleNat = [] }: TopologyOptions): NatRouter | undefined {
  const kind = nat[edge] ?? 'cone';
  if (kind === 'none') return undefined;
  const number = numberOf(edge);
  const wanAddress = wanAddressOf(edge, true);
  const inner = { name: `nat${number}`, insideAddress: `192.168.${number}.1` };
  if (!doubleNat.includes(edge)) return { ...inner, kind, address: wanAddress, behind: undefined };
  const carrier = `100.64.${number}`;
  return {
    ...inner,
    kind: 'cone',
    address: `${carrier}.2`,
    behind: {
      name: `carrier${number}`,
      kind,
      address: wanAddress,
      insideAddress: `${carrier}.1`,
      behind: undefined,
    },
  };
}

function lanOf(prefix: string): Lan {
  return { subnet: `${prefix}.0/24`, address: `${prefix}.1`, hubAddress: `${prefix}.254` };
}
