import ipaddr from 'ipaddr.js';
import {
  connectionNameSchema,
  STEERING_PREFIX,
  type ChildConfig,
  type Connection,
  type ConnectionName,
  type LinkId,
} from './connection.ts';
import type { ChildRef, DesiredLink, DesiredState, MeshAddressPair } from './desired-state.ts';

/**
 * Who encrypts the packets: the kernel, which takes a tunnel by its policies alone or by XFRM interfaces that this node has
 * made, or charon itself (its plugin kernel-libipsec).
 */
export type DataPlane = 'kernel' | 'xfrm-interfaces' | 'libipsec';

/** A way of a link. */
export type PathKind = 'direct' | 'relay';

/** The XFRM interfaces of a node, one for each kind of path. The numbers are ours, and no setting. */
export const IF_IDS: Readonly<Record<PathKind, number>> = { direct: 7447, relay: 7448 };

/**
 * The bit of the packet mark that what comes out of an XFRM interface has: it looks for its way on the outside, and must not
 * find back into the interface, also when a peer's own address is in the subnets behind it.
 */
export const OUTSIDE_MARK = 0x2000_0000;

/** A policy that stands by itself: what fits its selectors goes into the youngest CHILD SA of its reqid, or nowhere while there is none. */
export interface TrapPolicy {
  readonly name: string;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  /** Undefined: leads nowhere, and drops what comes in. */
  readonly reqid: number | undefined;
}

interface SteeringBase {
  readonly kind: 'steering';
  /** Holds the traps, and is never set up: its peer has no address. */
  readonly name: ConnectionName;
  readonly link: LinkId;
  /**
   * In the order of their installation, as a younger one comes before an older one with the same selectors: both tunnels may
   * deliver, traffic takes the relay if there is one, and the probes of each path take that path.
   */
  readonly lasting: readonly TrapPolicy[];
}

/**
 * How a link's traffic is moved between its tunnels where charon carries it itself. There a new CHILD SA's policies come
 * before all others at once (ipsec_policy_mgr.c: by prefix length, then the youngest), and the end that answers would send
 * into it before the other one can receive. So the tunnels have no policies of their own (`policies = no`); traps do it in
 * their place, and this node moves them when packets are known to pass.
 */
export interface TrapSteering extends SteeringBase {
  /** While it is installed, being the youngest, traffic takes the direct tunnel. */
  readonly direct: TrapPolicy;
}

/**
 * How it is moved where the kernel carries it. That takes what comes in by the best policy only, so that the tunnels of one
 * link can deliver at the same time only when they belong to different XFRM interfaces; routes into these choose what goes
 * out. What comes in through no tunnel meets no policy of these, and is dropped by the lasting one.
 */
export interface RouteSteering extends SteeringBase {
  /** CIDRs, of the peer: the routes to them are moved. */
  readonly destinations: readonly string[];
  /** The peer's address that is always reached through the relay, and the one that probes of the direct tunnel go to. CIDRs. */
  readonly probed: Readonly<Record<PathKind, string>>;
  /** CIDRs: what this node sends itself has an address of these, or its mesh address. */
  readonly localSubnets: readonly string[];
}

export type Steering = TrapSteering | RouteSteering;

/** What a node's charon is brought to: the desired state, and what the node adds to it by itself. */
export interface LocalState {
  readonly desired: DesiredState;
  readonly steering: readonly Steering[];
}

/** The desired state as it is; or with what the node adds to move its traffic by itself. */
export function localState(desired: DesiredState, dataPlane: DataPlane, probePort: number): LocalState {
  switch (dataPlane) {
    case 'kernel':
      return { desired, steering: [] };
    case 'xfrm-interfaces':
      return steered(desired, {
        choiceOf: (path) => ({ ifId: IF_IDS[path] }),
        steeringOf: (link, ends) => (hasIpv4Only(link) ? routeSteeringOf(link, ends) : undefined),
      });
    case 'libipsec':
      return steered(desired, {
        choiceOf: (path, { peer }) => ({ reqid: reqidOf(path === 'direct' ? peer.mesh : peer.relay) }),
        steeringOf: (link, ends) => trapSteeringOf(link, { ...ends, probePort }),
      });
  }
}

interface Ends {
  readonly own: MeshAddressPair;
  readonly peer: MeshAddressPair;
}

/** How a data plane moves traffic. */
interface Means {
  /** For the children of a link on this path. */
  readonly choiceOf: (path: PathKind, ends: Ends) => OwnChoice;
  /** Undefined for a link that is left to charon. */
  readonly steeringOf: (link: DesiredLink, ends: Ends) => Steering | undefined;
}

/** Links whose paths can be probed. Those with a hub itself are left to charon: there is nothing to choose. */
function steered(desired: DesiredState, { choiceOf, steeringOf }: Means): LocalState {
  const { addresses: own, connections } = desired;
  if (own === undefined || !isIpv4(own.mesh) || !isIpv4(own.relay)) return { desired, steering: [] };
  const mediated = new Set<string>(connections.filter(({ kind }) => kind === 'mediated-peer').map(({ name }) => name));
  const choices = new Map<string, OwnChoice>();
  const steering = desired.links.flatMap((link): Steering[] => {
    const { peerAddresses: peer, relay } = link;
    if (peer === undefined || !isIpv4(peer.mesh) || !isIpv4(peer.relay)) return [];
    const direct = link.direct.filter(({ connection }) => mediated.has(connection));
    if (direct.length === 0 && relay.length === 0) return [];
    const ends = { own, peer };
    const steeringOfLink = steeringOf(link, ends);
    if (steeringOfLink === undefined) return [];
    for (const ref of direct) choices.set(keyOf(ref), choiceOf('direct', ends));
    for (const ref of relay) choices.set(keyOf(ref), choiceOf('relay', ends));
    return [steeringOfLink];
  });
  return { desired: { ...desired, connections: withChoices(connections, choices) }, steering };
}

function hasIpv4Only({ localSubnets, remoteSubnets }: DesiredLink): boolean {
  return [...localSubnets, ...remoteSubnets].every((subnet) => ipaddr.IPv4.isValidCIDR(subnet));
}

function routeSteeringOf(link: DesiredLink, { own, peer }: Ends): RouteSteering {
  const { localSubnets, remoteSubnets } = link;
  return {
    kind: 'steering',
    name: steeringName(link),
    link: link.id,
    lasting: [
      {
        name: 'refuse-clear',
        localSelectors: [...localSubnets, `${own.mesh}/32`, `${own.relay}/32`],
        remoteSelectors: [...remoteSubnets, `${peer.mesh}/32`, `${peer.relay}/32`],
        reqid: undefined,
      },
    ],
    destinations: [...remoteSubnets, `${peer.mesh}/32`],
    probed: { direct: `${peer.mesh}/32`, relay: `${peer.relay}/32` },
    localSubnets,
  };
}

function steeringName({ peer }: DesiredLink): ConnectionName {
  return connectionNameSchema.parse(`${STEERING_PREFIX}${peer}`);
}

function trapSteeringOf(
  link: DesiredLink,
  { own, peer, probePort }: Ends & { readonly probePort: number },
): TrapSteering {
  const trap = (name: string, address: string, local: readonly string[], remote: readonly string[]): TrapPolicy => ({
    name,
    localSelectors: local,
    remoteSelectors: remote,
    reqid: reqidOf(address),
  });
  const local = [...link.localSubnets, `${own.mesh}/32`];
  const remote = [...link.remoteSubnets, `${peer.mesh}/32`];
  // UDP by its number: charon reads names with getprotobyname, and small machines have no /etc/protocols.
  const [asking, answering] = ['[17]', `[17/${probePort}]`];
  return {
    kind: 'steering',
    name: steeringName(link),
    link: link.id,
    lasting: [
      // First: a peer whose probes are answered may send into the direct tunnel, whatever this end does.
      trap('receive-direct', peer.mesh, local, remote),
      trap('ask-direct', peer.mesh, [`${own.mesh}/32${asking}`], [`${peer.mesh}/32${answering}`]),
      trap('answer-direct', peer.mesh, [`${own.mesh}/32${answering}`], [`${peer.mesh}/32${asking}`]),
      ...(link.relay.length === 0
        ? []
        : [
            trap('relay', peer.relay, local, remote),
            trap('probe-relay', peer.relay, [`${own.relay}/32`], [`${peer.relay}/32`]),
          ]),
    ],
    direct: trap('direct', peer.mesh, local, remote),
  };
}

/** Fixed reqids begin here, the address 1.0.0.0; charon counts its own from 1. */
export const FIXED_REQID_MIN = 2 ** 24;

/**
 * The peer's address on a path names the path in charon: no other peer has it, and it lasts as long as the link.
 */
function reqidOf(address: string): number {
  return ipaddr.IPv4.parse(address).octets.reduce((number, octet) => number * 256 + octet, 0);
}

function isIpv4(address: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(address);
}

/** What the node chooses for a child by itself. */
type OwnChoice = Pick<ChildConfig, 'reqid' | 'ifId'>;

function withChoices(connections: readonly Connection[], choices: ReadonlyMap<string, OwnChoice>): Connection[] {
  return connections.map((connection) => {
    if (!('children' in connection)) return connection;
    const children = connection.children.map((child): ChildConfig => {
      const choice = choices.get(keyOf({ connection: connection.name, child: child.name }));
      return choice === undefined ? child : { ...child, ...choice };
    });
    return { ...connection, children };
  });
}

function keyOf({ connection, child }: ChildRef): string {
  return `${connection}/${child}`;
}
