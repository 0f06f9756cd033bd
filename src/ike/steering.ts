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

/** Who encrypts the packets: the kernel, or charon itself (its plugin kernel-libipsec). */
export type DataPlane = 'kernel' | 'libipsec';

/** A trap policy: what fits its selectors goes into the youngest CHILD SA of its reqid, or nowhere while there is none. */
export interface TrapPolicy {
  readonly name: string;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  readonly reqid: number;
}

/**
 * How a link's traffic is moved between its tunnels where charon carries it itself. There a new CHILD SA's policies come
 * before all others at once (ipsec_policy_mgr.c: by prefix length, then the youngest), and the end that answers would send
 * into it before the other one can receive. So the tunnels have no policies of their own (`policies = no`); traps do it in
 * their place, and this node moves them when packets are known to pass.
 */
export interface Steering {
  readonly kind: 'steering';
  /** Holds the traps, and is never set up: its peer has no address. */
  readonly name: ConnectionName;
  readonly link: LinkId;
  /**
   * In the order of their installation, as a younger one comes before an older one with the same selectors: both tunnels may
   * deliver, traffic takes the relay if there is one, and the probes of each path take that path.
   */
  readonly lasting: readonly TrapPolicy[];
  /** While it is installed, being the youngest, traffic takes the direct tunnel. */
  readonly direct: TrapPolicy;
}

/** What a node's charon is brought to: the desired state, and what the node adds to it by itself. */
export interface LocalState {
  readonly desired: DesiredState;
  readonly steering: readonly Steering[];
}

/** The desired state as it is; or with fixed reqids, and the traps for them, where charon carries the packets. */
export function localState(desired: DesiredState, dataPlane: DataPlane, probePort: number): LocalState {
  const { addresses: own, connections } = desired;
  const mediated = new Set<string>(connections.filter(({ kind }) => kind === 'mediated-peer').map(({ name }) => name));
  if (dataPlane === 'kernel' || own === undefined) return { desired, steering: [] };
  const reqids = new Map<string, number>();
  const steering = desired.links.flatMap((link): Steering[] => {
    const { peerAddresses: peer } = link;
    if (peer === undefined || !isIpv4(peer.mesh) || !isIpv4(peer.relay)) return [];
    const direct = link.direct.filter(({ connection }) => mediated.has(connection));
    if (direct.length === 0 && link.relay.length === 0) return [];
    for (const ref of direct) reqids.set(keyOf(ref), reqidOf(peer.mesh));
    for (const ref of link.relay) reqids.set(keyOf(ref), reqidOf(peer.relay));
    return [steeringOf(link, { own, peer, probePort })];
  });
  return { desired: { ...desired, connections: withReqids(connections, reqids) }, steering };
}

interface Ends {
  readonly own: MeshAddressPair;
  readonly peer: MeshAddressPair;
  readonly probePort: number;
}

function steeringOf(link: DesiredLink, { own, peer, probePort }: Ends): Steering {
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
    name: connectionNameSchema.parse(`${STEERING_PREFIX}${link.peer}`),
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

function withReqids(connections: readonly Connection[], reqids: ReadonlyMap<string, number>): Connection[] {
  return connections.map((connection) => {
    if (!('children' in connection)) return connection;
    const children = connection.children.map((child): ChildConfig => {
      const reqid = reqids.get(keyOf({ connection: connection.name, child: child.name }));
      return reqid === undefined ? child : { ...child, reqid };
    });
    return { ...connection, children };
  });
}

function keyOf({ connection, child }: ChildRef): string {
  return `${connection}/${child}`;
}
