import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { DataPlane } from '../../src/ike/steering.ts';
import { addressed, child, desired, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { breachesIn, HAZARDS, type Breach, type CharonRecord } from './charon-rules.ts';
import { hint, linkedTo } from './links.ts';
import { ModelNode } from './model-node.ts';

/**
 * Random lives of a node: its charon loses and gains SAs, is refused, restarted, out of workers; its agent dies; what is
 * desired and what the coordinator says changes. In every other life charon carries the packets itself. Whatever happens,
 * none of charon's hazards is met.
 */

const LINK = 'edge1--remote';
const PEERS = ['p1', 'p2'];
const links = [LINK, ...PEERS.map((peer) => `edge1--${peer}`)];
const peerNames = [names.peer, ...PEERS.map((peer) => `cygnet-peer-${peer}`)];

/** A mesh with a hub and many mediated peers; with other subnets when it has changed. */
function meshOf(peerCount: number, remoteSubnet = '7.7.8.0/24'): DesiredState {
  const others = linkedTo(...PEERS.slice(0, peerCount));
  const changed = { remoteSubnets: [remoteSubnet] };
  const relayed = others.links.map(({ id }) => child(id, { priority: 2000 }));
  const hub = spoke([child(LINK, { priority: 2000, ...changed }), ...relayed]);
  const first = desired(medsrv(), hub, mediatedPeer({ children: [child(LINK, changed)] }));
  const otherLinks = others.links.map((link) => ({
    ...link,
    relay: link.direct.map((direct) => ({ ...direct, connection: hub.name })),
  }));
  return addressed({
    ...first,
    connections: [...first.connections, ...others.connections.filter(({ kind }) => kind === 'mediated-peer')],
    links: [...first.links, ...otherLinks],
  });
}

const anyPeer = fc.nat({ max: links.length - 1 });
const happening = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('time' as const), ms: fc.nat({ max: 100_000 }) }) },
  { weight: 4, arbitrary: fc.constant({ what: 'registered' as const }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('up' as const), peer: anyPeer }) },
  {
    weight: 10,
    arbitrary: fc.oneof(
      fc.constantFrom(
        { what: 'mediator lost' as const },
        { what: 'hub up' as const },
        { what: 'hub lost' as const },
        { what: 'charon restarted' as const },
        { what: 'agent restarted' as const },
        { what: 'load-all' as const },
      ),
      fc.record({ what: fc.constant('lost' as const), peer: anyPeer }),
      fc.record({ what: fc.constant('silent' as const), peer: anyPeer, is: fc.boolean() }),
      fc.record({ what: fc.constant('reconnect' as const), peer: anyPeer }),
      fc.record({ what: fc.constant('hub silent' as const), is: fc.boolean() }),
      fc.record({
        what: fc.constant('called' as const),
        peer: anyPeer,
        state: fc.constantFrom('CREATED', 'CONNECTING'),
      }),
      fc.record({ what: fc.constant('refusing' as const), is: fc.boolean() }),
      fc.record({ what: fc.constant('workers' as const), idle: fc.constantFrom(0, 2, 3, 12) }),
      fc.record({ what: fc.constant('alone' as const), is: fc.boolean() }),
      fc.record({ what: fc.constant('hints' as const), initiate: fc.boolean(), isThere: fc.boolean() }),
      fc.record({
        what: fc.constant('wish' as const),
        peers: fc.nat({ max: PEERS.length }),
        subnet: fc.constantFrom('7.7.8.0/24', '7.7.8.0/25'),
      }),
    ),
  },
);
type Happening = typeof happening extends fc.Arbitrary<infer H> ? H : never;

function happen(node: ModelNode, event: Happening): void {
  const { charon } = node;
  switch (event.what) {
    case 'time':
      return node.clock.advance(event.ms);
    case 'registered':
      return charon.establish(names.medsrv, undefined);
    case 'mediator lost':
      return charon.lose(names.medsrv);
    case 'hub up':
      return charon.establish(names.hub, LINK);
    case 'hub lost':
      return charon.lose(names.hub);
    case 'charon restarted':
      return charon.restart();
    case 'agent restarted':
      return node.restartAgent();
    case 'load-all':
      for (const name of [names.medsrv, names.hub, ...peerNames]) charon.unload(name);
      return undefined;
    case 'up':
      return charon.establish(peerNames[event.peer]!, links[event.peer]);
    case 'lost':
      return charon.lose(peerNames[event.peer]!);
    case 'silent':
      if (event.is) node.silent.add(links[event.peer]!);
      else node.silent.delete(links[event.peer]!);
      return undefined;
    case 'reconnect':
      return node.reconnect(links[event.peer]!);
    case 'hub silent':
      if (event.is) node.silentHubs.add(names.hub);
      else node.silentHubs.delete(names.hub);
      return undefined;
    case 'called':
      return charon.addSa(peerNames[event.peer]!, { state: event.state, initiator: false });
    case 'refusing':
      charon.isRefusing = event.is;
      return undefined;
    case 'workers':
      charon.idleWorkers = event.idle;
      return undefined;
    case 'alone':
      node.channelDownMs = event.is ? 30_000 : 0;
      return undefined;
    case 'hints':
      return node.hint(hintsOf(event.initiate, event.isThere));
    case 'wish':
      return node.wish(meshOf(event.peers, event.subnet));
  }
}

function hintsOf(initiate: boolean, isThere: boolean): ReturnType<typeof hint>[] {
  const change = { initiate, ...(isThere ? {} : { mediator: null, peerRegistered: false }) };
  return ['remote', ...PEERS].map((peer) => hint(peer, change));
}

const DATA_PLANES: readonly DataPlane[] = ['kernel', 'xfrm-interfaces', 'libipsec'];

async function lifeOf(history: readonly Happening[], dataPlane: DataPlane): Promise<readonly CharonRecord[]> {
  const node = new ModelNode(meshOf(PEERS.length), dataPlane);
  node.hint(hintsOf(true, true));
  for (const event of history) {
    happen(node, event);
    await node.round();
  }
  return node.charon.records;
}

describe('the agent of a node never meets the hazard:', () => {
  const breaches: Breach[] = [];
  const asked = new Map<string, number>();

  beforeAll(async () => {
    const histories = fc.sample(fc.array(happening, { minLength: 20, maxLength: 40 }), { numRuns: 72, seed: 1 });
    for (const [number, history] of histories.entries()) {
      const records = await lifeOf(history, DATA_PLANES[number % DATA_PLANES.length]!);
      breaches.push(...breachesIn(records));
      for (const record of records) {
        if (record.type !== 'asked') continue;
        const what = record.command === 'initiate' && 'child' in record.request ? 'initiate child' : record.command;
        asked.set(what, (asked.get(what) ?? 0) + 1);
      }
    }
  }, 60_000);

  it.each(HAZARDS)('%s', (hazard) => {
    expect(breaches.filter((breach) => breach.hazard === hazard)).toEqual([]);
    // That it asked for nothing would prove nothing.
    for (const what of ['load-conn', 'initiate', 'initiate child', 'terminate', 'install', 'uninstall'])
      expect(asked.get(what), what).toBeGreaterThan(10);
  });
});
