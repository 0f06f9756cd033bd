import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ViciClient } from '../../src/vici/client.ts';
import { viciCommands, type ViciCommand } from '../../src/vici/protocol/commands.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import type { SaChange } from '../../src/vici/watch-sas.ts';
import { collect } from './collect.ts';
import { CONFIG } from './contract/connections.ts';
import { RawClient } from './contract/raw-client.ts';
import { viciRejectionOf } from './vici-error-of.ts';

describe('a fake charon', () => {
  let charon: FakeCharon;
  let session: ViciSession;
  beforeEach(async () => {
    charon = await FakeCharon.start();
    session = await ViciSession.connect(charon.address);
  });
  afterEach(async () => {
    await session[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  it.each(Object.keys(viciCommands) as ViciCommand[])('knows %s', async (command) => {
    expect(await session.request(command)).toBeInstanceOf(Map);
  });

  it('answers as the test says, until it is reset', async () => {
    charon.reply('version', { daemon: 'x', version: '5.9.8', sysname: 'a', release: 'b', machine: 'c' });
    expect(await session.call('version')).toMatchObject({ daemon: 'x' });
    charon.refuse('version', 'not today');
    expect((await viciRejectionOf(session.call('version'))).detail).toBe('not today');
    charon.reset('version');
    expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd', version: '6.0.6' });
  });

  it('takes an empty reply for success', async () => {
    charon.refuse('load-conn', 'no');
    charon.reply('load-conn', undefined);
    await session.call('load-conn', { gw: CONFIG });
    expect(charon.conns.size).toBe(0);
  });

  it('remembers what was loaded', async () => {
    await session.call('load-conn', { gw: CONFIG });
    expect([...charon.conns.keys()]).toEqual(['gw']);
    expect(charon.conns.get('gw')?.get('local_addrs')).toEqual(['127.0.0.1']);
  });

  it.each([
    ['5.9.8', false],
    ['6.0.2', false],
    ['6.0.3', true],
    ['6.1.0', true],
  ])('of version %s has the event alert: %s', async (version, hasAlert) => {
    await using other = await FakeCharon.start({ version });
    expect(other.knownEvents.has('alert')).toBe(hasAlert);
    await using client = await ViciSession.connect(other.address);
    expect((await client.call('version')).version).toBe(version);
  });

  it('gives certificates, authorities and keys back as they were loaded', async () => {
    const der = Uint8Array.of(0x30, 0x82, 0xff, 0);
    await session.call('load-cert', { type: 'X509', flag: 'CA', data: der });
    const [cert] = await collect(session.stream('list-certs'));
    expect(cert?.data).toEqual(der);
    const { id } = await session.call('load-key', { type: 'any', data: der });
    expect((await session.call('get-keys')).keys).toEqual([id]);
    await session.call('load-authority', { ca: { cacert: der, crl_uris: ['http://127.0.0.1/crl'] } });
    expect((await session.call('get-authorities')).authorities).toEqual(['ca']);
    const [authority] = await collect(session.stream('list-authorities'));
    expect(authority).toMatchObject({ name: 'ca', crl_uris: ['http://127.0.0.1/crl'] });
    await session.call('clear-creds');
    expect((await session.call('get-keys')).keys).toEqual([]);
  });

  it('has a peer that agrees to everything: the SAs look as the connection says', async () => {
    charon.load({ gw: CONFIG });
    await session.call('initiate', { ike: 'gw', child: 'net' });
    const [ike] = await collect(session.stream('list-sas'));
    expect(ike).toMatchObject({ name: 'gw', 'local-id': 'left', 'remote-host': '127.0.0.2', initiator: true });
    expect(ike?.['child-sas'].get('net-1')).toMatchObject({
      'local-ts': ['10.1.0.0/24'],
      'remote-ts': ['10.2.0.0/24'],
    });
  });

  it('writes fields that a test gives, and leaves flags out that are not set', async () => {
    const ike = charon.ikeUp({ name: 'gw', initiator: false, 'nat-remote': true, established: 300 });
    charon.childUp(ike, { name: 'net', 'bytes-in': 7, esn: true });
    await using raw = await RawClient.connect(charon.address);
    raw.send({ type: 'event-register', name: 'list-sa' });
    raw.request('list-sas');
    expect([await raw.nextKind(), await raw.nextKind()]).toEqual(['event-confirm', 'event list-sa']);
    const [listed] = await collect(session.stream('list-sas'));
    expect(listed).toMatchObject({ initiator: false, 'nat-remote': true, 'nat-local': false, established: 300 });
    expect(listed?.['child-sas'].get('net-1')).toMatchObject({ 'bytes-in': 7, esn: true, encap: false });
  });

  it('does not touch SAs that are not up any more', async () => {
    const ike = charon.ikeUp({ name: 'gw' });
    const child = charon.childUp(ike, { name: 'net' });
    charon.childRekey(child);
    expect(() => charon.childDown(child)).toThrow('CHILD SA net with unique id 1 is not up');
    await charon.restart();
    expect(() => charon.ikeDown(ike)).toThrow('IKE SA gw with unique id 1 is not up');
    expect(charon.sas.size).toBe(0);
    expect(charon.ikeUp({ name: 'gw' }).uniqueid).toBe(1);
  });

  it('tells a watch everything that happens to its SAs', async () => {
    await using client = new ViciClient(charon.address);
    const watch = client.watchSas({ signal: AbortSignal.timeout(10_000) });
    expect((await watch.next()).value).toMatchObject({ type: 'resync', restarted: false });
    const ike = charon.ikeUp({ name: 'gw' });
    const child = charon.childUp(ike, { name: 'net' });
    const newChild = charon.childRekey(child);
    charon.ikeUpdate(ike, { 'remote-host': '203.0.113.9', 'remote-port': 4500 });
    const newIke = charon.ikeRekey(ike);
    charon.childDown(newChild);
    charon.ikeDown(newIke);
    const types: SaChange['type'][] = [];
    while (types.at(-1) !== 'ike-down') {
      const { value } = await watch.next();
      if (value !== undefined) types.push(value.type);
    }
    expect(types).toEqual(['ike-up', 'child-up', 'child-rekey', 'ike-update', 'ike-rekey', 'child-down', 'ike-down']);
    await watch.return();
  });

  it('starts later with each life', async () => {
    const since = async (): Promise<number> => {
      await using own = await ViciSession.connect(charon.address);
      return Date.parse((await own.call('stats')).uptime.since);
    };
    const first = await since();
    await charon.restart();
    expect((await since()) - first).toBe(60_000);
  });

  it('is neither there nor anywhere else while it is dead', async () => {
    await charon.die();
    expect((await viciRejectionOf(ViciSession.connect(charon.address))).code).toBe('connect-failed');
    await charon.restart();
    await (await ViciSession.connect(charon.address))[Symbol.asyncDispose]();
  });

  it('holds a command back until it is released', async () => {
    const held = charon.hold('version');
    const first = session.call('version');
    await held.arrived();
    expect(held.waiting).toBe(1);
    held.release();
    expect(await first).toMatchObject({ daemon: 'charon-systemd' });
    expect(() => held.release()).toThrow('no request waits');
    held.open();
    expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd' });
    expect(() => charon.hold('nonexistent')).toThrow('nonexistent');
  });

  it('leaves a command unanswered, and answers what is behind it', async () => {
    charon.leaveUnanswered('version');
    await using raw = await RawClient.connect(charon.address);
    raw.request('version');
    raw.request('get-conns');
    expect([...(await raw.nextReply()).keys()]).toEqual(['conns']);
    expect(charon.commands).toEqual(['version', 'get-conns']);
  });

  it('tells of new addresses at the top of the event, and of the old ones in the IKE SA', async () => {
    const ike = charon.ikeUp({ name: 'gw', 'remote-host': '192.0.2.2', 'remote-port': 500 });
    await using subscription = await session.subscribe(['ike-update']);
    charon.ikeUpdate(ike, { 'remote-host': '203.0.113.9', 'remote-port': 4500 });
    for await (const event of subscription) {
      expect(event).toMatchObject({
        name: 'ike-update',
        body: { 'remote-host': '203.0.113.9', 'remote-port': 4500, ikeSa: { name: 'gw', 'remote-host': '192.0.2.2' } },
      });
      break;
    }
  });

  it.each([1, 2, 3, 7])('can write %i bytes at a time', async (chunkBytes) => {
    await using slow = await FakeCharon.start({ chunkBytes });
    const ike = slow.ikeUp({ name: 'gw' });
    slow.childUp(ike, { name: 'net' });
    await using client = await ViciSession.connect(slow.address);
    expect(await client.call('version')).toMatchObject({ daemon: 'charon-systemd' });
    expect((await collect(client.stream('list-sas'))).map(({ name }) => name)).toEqual(['gw']);
  });

  it('refuses to hold much for a client that does not read', async () => {
    await using deaf = await RawClient.connect(charon.address);
    deaf.send({ type: 'event-register', name: 'log' });
    expect(await deaf.nextKind()).toBe('event-confirm');
    deaf.pause();
    const line = { group: 'CFG', level: 1, msg: 'x'.repeat(60_000) };
    expect(() => {
      for (let count = 0; count < 2000; count += 1) charon.emit('log', line);
    }).toThrow('leaves 67108864 bytes unread');
  });

  it('stops reading when a thousand requests wait, and goes on when they are done', async () => {
    const held = charon.hold('version');
    await using raw = await RawClient.connect(charon.address);
    for (let count = 0; count < 5000; count += 1) raw.request('version');
    await held.arrived();
    const [, client] = charon.clients;
    expect(client?.packetsReceived).toBeLessThan(5000);
    held.open();
    for (let count = 0; count < 5000; count += 1) expect(await raw.nextKind()).toBe('cmd-response');
  });
});
