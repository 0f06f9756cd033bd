import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isSection, type ViciSection } from '../../src/vici/message.ts';
import type { ViciEvent, ViciEventName } from '../../src/vici/protocol/events.ts';
import type { ViciConnConfig } from '../../src/vici/protocol/load-conn.ts';
import type { ViciIkeSa } from '../../src/vici/protocol/sas.ts';
import { ViciSession } from '../../src/vici/session.ts';
import type { ViciSubscription } from '../../src/vici/subscription.ts';
import { STRONGSWAN_VERSIONS, type StrongswanVersion } from '../lab/strongswan.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';
import { listedRaw } from './listed-raw.ts';

/** Debian 13's strongSwan is fetched when this machine does not have it yet. */
const FETCH_MS_MAX = 900_000;

/** Two ends in one namespace: each has an address of its own and ports that the other leaves free. */
interface End {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly subnet: string;
}
const LEFT: End = { id: 'left', address: '127.0.0.1', port: 4500, subnet: '10.1.0.0/24' };
const RIGHT: End = { id: 'right', address: '127.0.0.2', port: 4511, subnet: '10.2.0.0/24' };
const RIGHT_SETTINGS = `port = ${RIGHT.port - 1}
  port_nat_t = ${RIGHT.port}`;

function connection(own: End, peer: End, more: ViciConnConfig): ViciConnConfig {
  return {
    version: 2,
    local_addrs: [own.address],
    remote_addrs: [peer.address],
    local_port: own.port,
    remote_port: peer.port,
    mobike: false,
    local: { auth: 'psk', id: own.id },
    remote: { auth: 'psk', id: peer.id },
    // Two kernel interfaces of one kind in one namespace would quarrel over policies and routes.
    children: { net: { local_ts: [own.subnet], remote_ts: [peer.subnet], policies: false } },
    ...more,
  };
}

const secret = { id: 'psk', type: 'IKE', data: 'for the test only', owners: [LEFT.id, RIGHT.id] } as const;
const EVENTS = ['log', 'ike-updown', 'ike-rekey', 'ike-update', 'child-updown', 'child-rekey'] as const;

describe.skipIf(!canRunCharon).each(STRONGSWAN_VERSIONS)('SAs of strongSwan %s', (strongswan: StrongswanVersion) => {
  let left: CharonDaemon;
  let right: CharonDaemon;
  let session: ViciSession;
  let peer: ViciSession;
  let subscription: ViciSubscription;
  let events: AsyncIterator<ViciEvent>;

  async function next<E extends ViciEventName>(name: E): Promise<Extract<ViciEvent, { readonly name: E }>> {
    for (;;) {
      const { value, done } = (await events.next()) as IteratorResult<ViciEvent, undefined>;
      if (done === true) throw new Error(`the events ended before ${name}`);
      if (value.name === name) return value as Extract<ViciEvent, { readonly name: E }>;
    }
  }

  async function listSas(): Promise<ViciIkeSa[]> {
    const sas: ViciIkeSa[] = [];
    for await (const sa of session.stream('list-sas')) sas.push(sa);
    return sas;
  }

  beforeAll(async () => {
    left = await CharonDaemon.start({ strongswan });
    right = await CharonDaemon.start({ namespace: left.namespace, settings: RIGHT_SETTINGS });
    session = await ViciSession.connect({ socketPath: left.socketPath });
    peer = await ViciSession.connect({ socketPath: right.socketPath });
    await session.call('load-conn', { gw: connection(LEFT, RIGHT, { vips: ['0.0.0.0'] }) });
    await session.call('load-shared', secret);
    await peer.call('load-pool', { pool: { addrs: '10.9.0.1-10.9.0.9', dns: ['10.9.0.1'] } });
    // Nothing is said of how the peer authenticates.
    await peer.call('load-conn', { gw: connection(RIGHT, LEFT, { pools: ['pool'], remote: { id: LEFT.id } }) });
    await peer.call('load-shared', secret);
    subscription = await session.subscribe(EVENTS, { signal: AbortSignal.timeout(50_000) });
    events = subscription[Symbol.asyncIterator]();
  }, FETCH_MS_MAX);

  afterAll(async () => {
    await Promise.all([subscription, session, peer].map((held) => held[Symbol.asyncDispose]()));
    // Its namespace goes with the left one.
    await right[Symbol.asyncDispose]();
    await left[Symbol.asyncDispose]();
  });

  it('come up with their events, and show all that was negotiated', async () => {
    const log: string[] = [];
    for await (const line of session.stream('initiate', { ike: 'gw', child: 'net', timeout: 10_000 }))
      log.push(line.msg);
    expect(log).toContainEqual(expect.stringMatching(/^CHILD_SA net\{1\} established with SPIs/));
    expect((await next('ike-updown')).body).toMatchObject({ up: true, ikeSa: { name: 'gw', 'child-sas': new Map() } });
    const { body } = await next('child-updown');
    expect(body.up).toBe(true);
    expect([...body.ikeSa['child-sas'].keys()]).toEqual(['net-1']);

    const [sa, ...others] = await listSas();
    expect(others).toEqual([]);
    expect(sa).toMatchObject({
      name: 'gw',
      uniqueid: 1,
      version: 2,
      state: 'ESTABLISHED',
      'local-host': LEFT.address,
      'local-port': LEFT.port,
      'local-id': LEFT.id,
      'remote-host': RIGHT.address,
      'remote-port': RIGHT.port,
      'remote-id': RIGHT.id,
      initiator: true,
      'initiator-spi': expect.stringMatching(/^[0-9a-f]{16}$/),
      'encr-alg': expect.stringMatching(/^AES_/),
      'prf-alg': expect.stringMatching(/^PRF_/),
      'dh-group': expect.any(String),
      established: expect.any(Number),
      'rekey-time': expect.any(Number),
      'reauth-time': undefined,
      'local-vips': ['10.9.0.1'],
      'remote-vips': [],
    });
    expect(sa?.['child-sas'].get('net-1')).toMatchObject({
      name: 'net',
      uniqueid: 1,
      reqid: 1,
      state: 'INSTALLED',
      mode: 'TUNNEL',
      protocol: 'ESP',
      encap: true,
      'spi-in': expect.stringMatching(/^[0-9a-f]{8}$/),
      'spi-out': expect.stringMatching(/^[0-9a-f]{8}$/),
      'encr-alg': 'AES_GCM_16',
      'encr-keysize': 128,
      'integ-alg': undefined,
      'bytes-in': 0,
      'packets-out': 0,
      'use-in': undefined,
      'rekey-time': expect.any(Number),
      'life-time': 3960,
      'install-time': 0,
      'local-ts': [LEFT.subnet],
      'remote-ts': [RIGHT.subnet],
    });
  });

  it('have no prf-alg in a CHILD SA, and of the flags only those that are set', async () => {
    const [body] = await listedRaw(left.socketPath, 'list-sas', 'list-sa');
    const child = sectionIn(body, 'gw', 'child-sas', 'net-1');
    expect(child?.has('encr-alg')).toBe(true);
    expect(['prf-alg', 'esn', 'per-cpu-sas', 'use-in'].filter((key) => child?.has(key))).toEqual([]);
    expect(['initiator', 'nat-local', 'ppk'].filter((key) => sectionIn(body, 'gw')?.has(key))).toEqual(['initiator']);
  });

  it('give their peer an address of the pool, and are counted', async () => {
    const pools = await peer.call('get-pools', { leases: true });
    expect(pools.get('pool')).toMatchObject({ size: 9, online: 1, offline: 0 });
    expect(pools.get('pool')?.leases.get('0')).toEqual({ address: '10.9.0.1', identity: LEFT.id, status: 'online' });
    expect((await peer.call('get-pools', { leases: false })).get('pool')?.leases.size).toBe(0);
    expect(await viciRejectionOf(peer.call('unload-pool', { name: 'pool' }))).toMatchObject({
      detail: 'pool has online leases, unable to unload',
    });
    const { counters } = await session.call('get-counters', { all: true });
    expect(counters.get('gw')?.get('ike-auth-out-req')).toBe(1);
    expect((await session.call('stats')).ikesas).toEqual({ total: 1, 'half-open': 0 });
  });

  it('demand nothing of a peer for which no kind of authentication was given', async () => {
    for await (const { remote } of peer.stream('list-conns')) expect(remote[0]?.class).toBeUndefined();
  });

  it('are left out of a list, or their children are, by filters', async () => {
    const keysFor = async (filter: object): Promise<string[][]> => {
      const keys: string[][] = [];
      for await (const sa of session.stream('list-sas', filter)) keys.push([sa.name, ...sa['child-sas'].keys()]);
      return keys;
    };
    expect(await keysFor({ ike: 'gw', 'ike-id': 2 })).toEqual([]);
    expect(await keysFor({ 'ike-id': 1, noblock: true })).toEqual([['gw', 'net-1']]);
    expect(await keysFor({ child: 'absent' })).toEqual([['gw']]);
  });

  it('are replaced by rekeying, with the old and the new one in the event', async () => {
    expect(await session.call('rekey', { child: 'net' })).toEqual({ matches: 1 });
    const child = (await next('child-rekey')).body;
    expect([child.old.uniqueid, child.new.uniqueid, child.new.state]).toEqual([1, 2, 'INSTALLED']);
    expect(child.ikeSa).toMatchObject({ name: 'gw', uniqueid: 1, 'child-sas': new Map() });
    expect(await session.call('rekey', { 'ike-id': 1 })).toEqual({ matches: 1 });
    const ike = (await next('ike-rekey')).body;
    expect([ike.name, ike.old.uniqueid, ike.new.uniqueid, ike.new.state]).toEqual(['gw', 1, 2, 'ESTABLISHED']);
  });

  it('go down with events that say so, whatever the state in them', async () => {
    // An IKE SA of that name or of that id: without a child both are alternatives.
    expect(await session.call('terminate', { ike: 'absent', 'ike-id': 2 })).toEqual({ matches: 1, terminated: 1 });
    expect((await next('ike-updown')).body).toMatchObject({ up: false, ikeSa: { uniqueid: 2 } });
    expect((await next('child-updown')).body.up).toBe(false);
    const refusal = await viciRejectionOf(session.call('terminate', { ike: 'gw' }));
    expect(refusal.detail).toBe('no matching SAs to terminate found');
    expect(refusal.reply?.get('matches')).toBe('0');
  });
});

function sectionIn(body: ViciSection | undefined, ...path: readonly string[]): ViciSection | undefined {
  return path.reduce<ViciSection | undefined>((section, key) => {
    const inner = section?.get(key);
    return isSection(inner) ? inner : undefined;
  }, body);
}
