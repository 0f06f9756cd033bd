import { describe, expect, it } from 'vitest';
import { childrenOf, type ConnectionOf } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import { IF_IDS, localState } from '../../src/ike/steering.ts';
import { desired, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { hub } from './connections.ts';

const PROBE_PORT = 7447;

const own = { mesh: '100.96.0.4', relay: '100.96.0.5' };
const peer = { mesh: '100.96.0.6', relay: '100.96.0.7' };
/** 100.96.0.6 and 100.96.0.7 as numbers. */
const [DIRECT, RELAY] = [1_684_013_062, 1_684_013_063];

function addressed(state: DesiredState, peerAddresses = peer): DesiredState {
  return { ...state, addresses: own, links: state.links.map((link) => ({ ...link, peerAddresses })) };
}

const mesh = addressed(desired(medsrv(), mediatedPeer(), spoke()));
/** The tunnel to the hub is the direct path. */
function hubLink(): DesiredState {
  const state = addressed(desired(spoke()));
  return { ...state, links: state.links.map((link) => ({ ...link, direct: link.relay, relay: [] })) };
}

const steered = (state: DesiredState) => localState(state, 'libipsec', PROBE_PORT);

const reqidsOf = (state: DesiredState): unknown =>
  Object.fromEntries(
    steered(state).desired.connections.map((each) => [each.name, childrenOf(each).map(({ reqid }) => reqid)]),
  );

describe('a node whose kernel encrypts', () => {
  it('is brought to the desired state as it is', () =>
    expect(localState(mesh, 'kernel', PROBE_PORT)).toEqual({ desired: mesh, steering: [] }));
});

describe('a node whose kernel encrypts, with XFRM interfaces', () => {
  const routed = (state: DesiredState) => localState(state, 'xfrm-interfaces', PROBE_PORT);
  const ifIdsOf = (state: DesiredState): unknown =>
    Object.fromEntries(
      routed(state).desired.connections.map((each) => [each.name, childrenOf(each).map(({ ifId }) => ifId)]),
    );

  it('gives the tunnels of a link the interface of their kind of path', () =>
    expect(ifIdsOf(mesh)).toEqual({ [names.medsrv]: [], [names.peer]: [IF_IDS.direct], [names.hub]: [IF_IDS.relay] }));

  it('routes to the other end, and drops what comes from there without a tunnel', () =>
    expect(routed(mesh).steering).toEqual([
      {
        kind: 'steering',
        name: 'cygnet-via-remote',
        link: 'edge1--remote',
        lasting: [
          {
            name: 'refuse-clear',
            localSelectors: ['7.7.7.0/24', '100.96.0.4/32', '100.96.0.5/32'],
            remoteSelectors: ['7.7.8.0/24', '100.96.0.6/32', '100.96.0.7/32'],
            reqid: undefined,
          },
        ],
        destinations: ['7.7.8.0/24', '100.96.0.6/32'],
        probed: { direct: '100.96.0.6/32', relay: '100.96.0.7/32' },
        localSubnets: ['7.7.7.0/24'],
      },
    ]));

  it('does so also where a link has one kind of path only: the spec may get the other', () => {
    expect(ifIdsOf(addressed(desired(medsrv(), mediatedPeer())))).toMatchObject({ [names.peer]: [IF_IDS.direct] });
    expect(ifIdsOf(addressed(desired(spoke())))).toMatchObject({ [names.hub]: [IF_IDS.relay] });
  });

  it.each<[string, DesiredState]>([
    ['in a mesh without mesh addresses, as nothing could be probed', desired(medsrv(), mediatedPeer(), spoke())],
    ['of a link whose other end is a hub, as there is nothing to choose', hubLink()],
    ['of a link with IPv6 mesh addresses', addressed(mesh, { mesh: 'fd00::6', relay: 'fd00::7' })],
    [
      'of a link with IPv6 subnets',
      { ...mesh, links: mesh.links.map((link) => ({ ...link, remoteSubnets: ['fd00:8::/64'] })) },
    ],
  ])('leaves the traffic to charon %s', (_why, state) => {
    expect(routed(state)).toEqual({ desired: state, steering: [] });
  });
});

describe('a node whose charon encrypts', () => {
  it('gives the tunnels of a link fixed reqids, which are the peer’s addresses on them', () =>
    expect(reqidsOf(mesh)).toEqual({ [names.medsrv]: [], [names.peer]: [DIRECT], [names.hub]: [RELAY] }));

  it('leaves the tunnels of others’ links alone, which it relays', () => {
    const relayed: ConnectionOf<'hub'> = hub();
    expect(reqidsOf({ ...mesh, connections: [...mesh.connections, relayed] })).toMatchObject({
      [relayed.name]: [undefined],
    });
  });

  it('has traps in an order in which traffic takes the relay, and one more that makes it take the direct tunnel', () => {
    const all = { localSelectors: ['7.7.7.0/24', '100.96.0.4/32'], remoteSelectors: ['7.7.8.0/24', '100.96.0.6/32'] };
    expect(steered(mesh).steering).toEqual([
      {
        kind: 'steering',
        name: 'cygnet-via-remote',
        link: 'edge1--remote',
        lasting: [
          { name: 'receive-direct', reqid: DIRECT, ...all },
          {
            name: 'ask-direct',
            reqid: DIRECT,
            localSelectors: ['100.96.0.4/32[17]'],
            remoteSelectors: ['100.96.0.6/32[17/7447]'],
          },
          {
            name: 'answer-direct',
            reqid: DIRECT,
            localSelectors: ['100.96.0.4/32[17/7447]'],
            remoteSelectors: ['100.96.0.6/32[17]'],
          },
          { name: 'relay', reqid: RELAY, ...all },
          {
            name: 'probe-relay',
            reqid: RELAY,
            localSelectors: ['100.96.0.5/32'],
            remoteSelectors: ['100.96.0.7/32'],
          },
        ],
        direct: { name: 'direct', reqid: DIRECT, ...all },
      },
    ]);
  });

  it('has the traps of the direct tunnel also where there is no relay: the spec may get one', () => {
    const withoutRelay = steered(addressed(desired(medsrv(), mediatedPeer()))).steering;
    expect(withoutRelay.map(({ lasting }) => lasting)).toEqual([steered(mesh).steering[0]!.lasting.slice(0, 3)]);
    expect(reqidsOf(addressed(desired(medsrv(), mediatedPeer())))).toMatchObject({ [names.peer]: [DIRECT] });
  });

  it.each<[string, DesiredState]>([
    ['in a mesh without mesh addresses, as nothing could be probed', desired(medsrv(), mediatedPeer(), spoke())],
    ['of a link whose other end is a hub, as there is nothing to choose', hubLink()],
    ['of a link with IPv6 mesh addresses', addressed(mesh, { mesh: 'fd00::6', relay: 'fd00::7' })],
  ])('leaves the traffic to charon %s', (_why, state) => {
    expect(steered(state)).toEqual({ desired: state, steering: [] });
  });
});
