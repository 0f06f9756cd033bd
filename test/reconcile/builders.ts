import {
  childNameSchema,
  connectionNameSchema,
  linkIdSchema,
  nodeNameSchema,
  type ChildConfig,
  type ConnectionOf,
  type IkeParameters,
} from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { ChildSa, IkeSa } from '../../src/ike/sa.ts';
import type { ObservedState } from '../../src/reconcile/charon.ts';
import type { PathWishes } from '../../src/reconcile/loop.ts';

/** Values of a small mesh: edge1 with a mediation client, a spoke tunnel to master1 and a mediated peer `remote`. */

const ike: IkeParameters = {
  proposals: [],
  lifetimeSeconds: 3600,
  marginSeconds: 180,
  keyingTries: 1,
  mobike: false,
  encap: true,
  dpdDelaySeconds: 10,
};

export const names = {
  medsrv: connectionNameSchema.parse('cygnet-medsrv-master1'),
  hub: connectionNameSchema.parse('cygnet-hub-master1'),
  peer: connectionNameSchema.parse('cygnet-peer-remote'),
} as const;

export function child(link: string, change: Partial<ChildConfig> = {}): ChildConfig {
  return {
    name: childNameSchema.parse(link),
    link: linkIdSchema.parse(link),
    localSubnets: ['7.7.7.0/24'],
    remoteSubnets: ['7.7.8.0/24'],
    priority: 1000,
    proposals: [],
    lifetimeSeconds: 1200,
    marginSeconds: 180,
    start: 'start',
    ...change,
  };
}

export function medsrv(change: Partial<ConnectionOf<'mediation-client'>> = {}): ConnectionOf<'mediation-client'> {
  return {
    kind: 'mediation-client',
    name: names.medsrv,
    localId: 'O=mesh, CN=edge1',
    remoteId: 'O=mesh, CN=master1',
    ike,
    mediator: nodeNameSchema.parse('master1'),
    remoteAddresses: ['203.0.113.10'],
    virtualIps: [],
    start: 'start',
    ...change,
  };
}

export function mediationServer(
  change: Partial<ConnectionOf<'mediation-server'>> = {},
): ConnectionOf<'mediation-server'> {
  return {
    kind: 'mediation-server',
    name: connectionNameSchema.parse('cygnet-mediation'),
    localId: 'O=mesh, CN=master1',
    remoteId: 'O=mesh, CN=*',
    ike,
    ...change,
  };
}

export function spoke(children: ChildConfig[] = [child('edge1--remote', { priority: 2000 })]): ConnectionOf<'spoke'> {
  return {
    kind: 'spoke',
    name: names.hub,
    localId: 'edge1.mesh',
    remoteId: 'master1.mesh',
    ike,
    peer: nodeNameSchema.parse('master1'),
    remoteAddresses: ['203.0.113.10'],
    virtualIps: [],
    children,
  };
}

export function mediatedPeer(change: Partial<ConnectionOf<'mediated-peer'>> = {}): ConnectionOf<'mediated-peer'> {
  return {
    kind: 'mediated-peer',
    name: names.peer,
    localId: 'O=mesh, CN=edge1',
    remoteId: 'O=mesh, CN=remote',
    ike,
    peer: nodeNameSchema.parse('remote'),
    mediatedBy: names.medsrv,
    mediationPeer: 'O=mesh, CN=remote',
    children: [child('edge1--remote')],
    ...change,
  };
}

export function desired(...connections: DesiredState['connections']): DesiredState {
  const link = linkIdSchema.parse('edge1--remote');
  const hasPeer = connections.some(({ kind }) => kind === 'mediated-peer');
  const hasHub = connections.some(({ kind }) => kind === 'spoke');
  return {
    version: 1,
    mesh: 'mesh',
    node: nodeNameSchema.parse('edge1'),
    connections,
    links: [
      {
        id: link,
        peer: nodeNameSchema.parse('remote'),
        localSubnets: ['7.7.7.0/24'],
        remoteSubnets: ['7.7.8.0/24'],
        direct: hasPeer ? [{ connection: names.peer, child: childNameSchema.parse(link) }] : [],
        relay: hasHub ? [{ connection: names.hub, child: childNameSchema.parse(link) }] : [],
      },
    ],
  };
}

/** The same mesh with an address of each node on each path; the peers' are of their links in turn. */
export function addressed(state: DesiredState): DesiredState {
  return {
    ...state,
    addresses: { mesh: '100.96.0.4', relay: '100.96.0.5' },
    links: state.links.map((link, number) => ({
      ...link,
      peerAddresses: { mesh: `100.96.0.${6 + 2 * number}`, relay: `100.96.0.${7 + 2 * number}` },
    })),
  };
}

export function childSa(name: string, change: Partial<ChildSa> = {}): ChildSa {
  return {
    name,
    uniqueId: 1,
    reqid: 1,
    ifId: 0,
    state: 'INSTALLED',
    spiIn: 'c1000001',
    spiOut: 'c2000001',
    bytesIn: 0,
    bytesOut: 0,
    packetsIn: 0,
    packetsOut: 0,
    installedSeconds: 5,
    rekeyInSeconds: 900,
    localTs: ['7.7.7.0/24'],
    remoteTs: ['7.7.8.0/24'],
    ...change,
  };
}

export function ikeSa(name: string, change: Partial<IkeSa> = {}): IkeSa {
  return {
    name,
    uniqueId: 1,
    state: 'ESTABLISHED',
    initiator: true,
    initiatorSpi: '0000000000000001',
    localHost: '192.168.1.2',
    localPort: 4500,
    remoteHost: '203.0.113.10',
    remotePort: 4500,
    localId: 'O=mesh, CN=edge1',
    remoteId: 'O=mesh, CN=master1',
    nat: true,
    establishedSeconds: 5,
    rekeyInSeconds: 3000,
    isMediating: false,
    childSas: [],
    ...change,
  };
}

/** Paths that want every set-up and no repair. */
export function wishes(change: Partial<PathWishes> = {}): PathWishes {
  return {
    allows: () => true,
    worked: new Set(),
    abandon: new Set(),
    rekey: new Set(),
    takesDirect: new Set(),
    lookInMs: Infinity,
    ...change,
  };
}

/** A charon that was given nothing yet. */
export function observed(change: Partial<ObservedState> = {}): ObservedState {
  return {
    charonStartMs: 1_000_000,
    charonSinceMs: 1_700_000_000_000,
    charonVersion: '5.9.8',
    idleWorkers: 12,
    connections: new Set(),
    keyIds: new Set(),
    ikeSas: [],
    traps: new Map(),
    routes: new Map(),
    ...change,
  };
}
