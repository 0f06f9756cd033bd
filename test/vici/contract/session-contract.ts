import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ViciSession } from '../../../src/vici/session.ts';
import type { ViciError } from '../../../src/vici/vici-error.ts';
import { collect } from '../collect.ts';
import { viciRejectionOf } from '../vici-error-of.ts';
import type { CharonUnderTest } from './charon-under-test.ts';
import { CONFIG, numberedNames } from './connections.ts';

/** How the library and a charon work together in one session. `listRounds`: how often to read a list. */
export function describeSession(name: string, start: () => Promise<CharonUnderTest>, listRounds = 1000): void {
  describe(`a session with ${name}`, () => {
    let charon: CharonUnderTest;
    let session: ViciSession;
    beforeAll(async () => {
      charon = await start();
    });
    afterAll(async () => {
      await charon[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      session = await ViciSession.connect(charon.address);
    });
    afterEach(async () => {
      await session[Symbol.asyncDispose]();
    });

    const load = (conn: string): Promise<unknown> => session.call('load-conn', { [conn]: CONFIG });
    const unload = (conn: string): Promise<unknown> => session.call('unload-conn', { name: conn });
    const listed = async (): Promise<string[]> => {
      const names: string[] = [];
      for await (const conn of session.stream('list-conns')) names.push(conn.name);
      return names;
    };

    it('asks for the version and the state of the daemon', async () => {
      expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd', sysname: 'Linux' });
      expect(await session.call('stats')).toMatchObject({ workers: { total: 16 }, ikesas: { total: 0 } });
      await session.call('reload-settings');
    });

    it('loads a connection, sees it listed and unloads it', async () => {
      await load('one');
      expect((await session.call('get-conns')).conns).toEqual(['one']);
      const [conn] = await collect(session.stream('list-conns', { ike: 'one' }));
      expect(conn).toMatchObject({
        name: 'one',
        local_addrs: ['127.0.0.1'],
        remote_addrs: ['127.0.0.2'],
        version: 'IKEv2',
      });
      expect(conn?.children.get('net')).toMatchObject({ mode: 'TUNNEL', 'local-ts': ['10.1.0.0/24'] });
      await unload('one');
      expect((await session.call('get-conns')).conns).toEqual([]);
    });

    it('lists 1,000 connections in the order in which they were loaded', async () => {
      const names = numberedNames('ordered', 1000);
      await Promise.all(names.map(load));
      expect(await listed()).toEqual(names);
      await Promise.all(names.map(unload));
    });

    it(`lists three connections completely and in order, ${listRounds} times over`, async () => {
      const names = numberedNames('dummy', 3);
      await Promise.all(names.map(load));
      for (let round = 0; round < listRounds; round += 1) expect(await listed()).toEqual(names);
      await Promise.all(names.map(unload));
    });

    it('carries quick commands out in the order of the calls', async () => {
      const calls = [load('one'), unload('one'), unload('one'), load('one'), unload('one')];
      const outcomes = await Promise.allSettled(calls);
      expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([true, true, false, true, true]);
    });

    it('may leave a list early, and read it again', async () => {
      const names = numberedNames('left', 100);
      await Promise.all(names.map(load));
      for await (const conn of session.stream('list-conns')) {
        expect(conn.name).toBe(names[0]);
        break;
      }
      expect(await listed()).toEqual(names);
      await Promise.all(names.map(unload));
    });

    it.each<[string, () => Promise<unknown>, string]>([
      ['unload-conn', () => unload('absent'), "unload: connection 'absent' not found"],
      ['unload-key', () => session.call('unload-key', { id: '00'.repeat(20) }), 'key not found'],
      [
        'unload-authority',
        () => session.call('unload-authority', { name: 'absent' }),
        "unload: authority 'absent' not found",
      ],
      ['unload-pool', () => session.call('unload-pool', { name: 'absent' }), 'absent not found'],
      ['initiate', () => session.call('initiate', { child: 'absent' }), "CHILD_SA config 'absent' not found"],
      ['terminate', () => session.call('terminate', { ike: 'absent' }), 'no matching SAs to terminate found'],
      ['rekey', () => session.call('rekey', { ike: 'absent' }), 'no matching SAs to rekey found'],
      ['install', () => session.call('install', { child: 'absent' }), 'configuration name not found'],
      ['uninstall', () => session.call('uninstall', { child: 'absent' }), "policy 'absent' not found"],
    ])('gives the refusal of %s in the words of charon', async (command, refused, detail) => {
      expect(await viciRejectionOf(refused())).toMatchObject({ code: 'command-failed', command, detail });
    });

    it('loses only the reply that charon drops because it is too long', async () => {
      const names = numberedNames('n'.repeat(240), 2200);
      await Promise.all(names.map(load));
      const dropped = viciRejectionOf(session.call('get-conns', {}, { timeoutMs: 200 }));
      expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd' });
      expect((await dropped).code).toBe('deadline-passed');
      expect(await listed()).toEqual(names);
      await Promise.all(names.map(unload));
    });

    it('keeps secrets and pools until they are unloaded', async () => {
      await session.call('load-shared', { id: 'psk', type: 'IKE', data: 'secret', owners: ['left'] });
      expect((await session.call('get-shared')).keys).toEqual(['psk']);
      await session.call('unload-shared', { id: 'psk' });
      expect((await session.call('get-shared')).keys).toEqual([]);
      await session.call('load-pool', { pool: { addrs: '10.9.0.0/24' } });
      expect((await session.call('get-pools')).get('pool')).toMatchObject({ base: '10.9.0.0', size: 254, online: 0 });
      await session.call('unload-pool', { name: 'pool' });
      expect((await session.call('get-pools')).size).toBe(0);
    });

    it('says that a command is unknown, and goes on', async () => {
      const error = await viciRejectionOf(session.request('nonexistent'));
      expect(error).toMatchObject({ code: 'unknown-command', command: 'nonexistent' });
      await session.call('version');
    });

    it('subscribes and unsubscribes in 50 rounds with a request in each', async () => {
      const names = numberedNames('round', 50);
      for (const conn of names) {
        await using subscription = await session.subscribe(['log']);
        await load(conn);
        for await (const event of subscription) {
          expect(event.name).toBe('log');
          if (event.name === 'log' && event.body.msg === `added vici connection: ${conn}`) break;
        }
      }
      await Promise.all(names.map(unload));
    });

    it('gives every subscriber all events', async () => {
      const subscriptions = await Promise.all([1, 2, 3].map(() => session.subscribe(['log'])));
      await load('heard');
      for (const subscription of subscriptions) {
        for await (const event of subscription) {
          if (event.name === 'log' && event.body.msg === 'added vici connection: heard') break;
        }
      }
      await unload('heard');
    });

    it('subscribes to more beside what is subscribed already', async () => {
      await using first = await session.subscribe(['control-log']);
      await using second = await session.subscribe(['log', 'ike-updown', 'log']);
      expect([...first.events, ...second.events]).toEqual(['control-log', 'log', 'ike-updown']);
    });

    it('gives no event after the subscription was closed', async () => {
      const subscription = await session.subscribe(['log']);
      await subscription[Symbol.asyncDispose]();
      await load('unheard');
      expect(await collect(subscription)).toEqual([]);
      await unload('unheard');
    });

    it('is opened thirty times at once, which is more than the backlog holds', async () => {
      const sessions = await Promise.all(Array.from({ length: 30 }, () => ViciSession.connect(charon.address)));
      const versions = await Promise.all(sessions.map((one) => one.call('version')));
      expect(new Set(versions.map(({ version }) => version)).size).toBe(1);
      await Promise.all(sessions.map((one) => one[Symbol.asyncDispose]()));
    });
  });

  describe(`the end of a session with ${name}`, () => {
    let charon: CharonUnderTest;
    beforeAll(async () => {
      charon = await start();
    });
    afterAll(async () => {
      await charon[Symbol.asyncDispose]();
    });

    const codesOf = async (promises: readonly Promise<unknown>[]): Promise<string[]> =>
      (await Promise.all(promises.map(viciRejectionOf))).map(({ code }: ViciError) => code);

    it('comes by closing it, once or twice', async () => {
      const session = await ViciSession.connect(charon.address);
      await session[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
      expect((await session.closed).code).toBe('connection-closed');
    });

    it('rejects every request behind it', async () => {
      const session = await ViciSession.connect(charon.address);
      await session[Symbol.asyncDispose]();
      const requests = [session.call('version'), session.call('initiate', { child: 'x' }), session.subscribe(['log'])];
      expect(await codesOf(requests)).toEqual(requests.map(() => 'connection-closed'));
    });

    it('rejects what is under way', async () => {
      const session = await ViciSession.connect(charon.address);
      const requests = Array.from({ length: 100 }, () => session.call('version'));
      const ends = codesOf(requests);
      await session[Symbol.asyncDispose]();
      expect(await ends).toEqual(requests.map(() => 'connection-closed'));
    });

    it('comes with the end of charon: for requests, lists and subscribers alike', async () => {
      const session = await ViciSession.connect(charon.address);
      await session.call('load-conn', { gone: CONFIG });
      const subscriptions = await Promise.all([session.subscribe(['log']), session.subscribe(['ike-updown'])]);
      const events = subscriptions.map((subscription) => viciRejectionOf(collect(subscription)));
      const list = session.stream('list-conns');
      await list.next();
      await charon.kill();
      expect((await session.closed).code).toBe('connection-closed');
      expect((await Promise.all(events)).map(({ code }) => code)).toEqual(['connection-closed', 'connection-closed']);
      expect(await codesOf([session.call('version')])).toEqual(['connection-closed']);
      await list.return();
      await session[Symbol.asyncDispose]();
      expect(await codesOf([ViciSession.connect(charon.address)])).toEqual(['connect-failed']);
    });

    it('leaves the way free for a session with the next charon, which has nothing loaded', async () => {
      await charon.restart();
      await using session = await ViciSession.connect(charon.address);
      expect((await session.call('get-conns')).conns).toEqual([]);
    });
  });
}
