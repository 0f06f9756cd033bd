import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ViciPolicy } from '../../../src/vici/protocol/lists.ts';
import type { ViciConnConfig } from '../../../src/vici/protocol/load-conn.ts';
import { ViciSession } from '../../../src/vici/session.ts';
import { collect } from '../collect.ts';
import { viciRejectionOf } from '../vici-error-of.ts';
import type { CharonUnderTest } from './charon-under-test.ts';
import { CONFIG } from './connections.ts';

/** A connection with two children that can be traps, also where the kernel has no ESP. */
function trapped(remoteSubnet: string): ViciConnConfig {
  const child = { local_ts: ['127.0.0.1/32'], remote_ts: [remoteSubnet], policies: false, reqid: 7 };
  return { ...CONFIG, children: { net: child, other: child } };
}

/** How traps are installed, listed and uninstalled. */
export function describeTraps(name: string, start: () => Promise<CharonUnderTest>): void {
  describe(`the traps of ${name}`, () => {
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
      await session.call('load-conn', { one: trapped('10.3.0.0/24') });
      await session.call('load-conn', { two: trapped('10.3.0.0/24') });
    });
    afterEach(async () => {
      for (const { ike = '', child } of await listed()) await session.call('uninstall', { ike, child });
      for (const loaded of (await session.call('get-conns')).conns) await session.call('unload-conn', { name: loaded });
      await session[Symbol.asyncDispose]();
    });

    const install = (ike: string, child: string): Promise<unknown> => session.call('install', { ike, child });
    const listed = (filter: { readonly ike?: string; readonly child?: string } = {}): Promise<ViciPolicy[]> =>
      collect(session.stream('list-policies', { trap: true, ...filter }));
    const names = async (filter?: { readonly ike?: string; readonly child?: string }): Promise<string[]> =>
      (await listed(filter)).map((trap) => trap.name);
    const refusalOf = async (call: Promise<unknown>): Promise<string> => (await viciRejectionOf(call)).detail;

    it('are listed with what they are for, the youngest first', async () => {
      await install('one', 'net');
      await install('two', 'net');
      await install('one', 'other');
      expect(await names()).toEqual(['one/other', 'two/net', 'one/net']);
      expect((await listed())[1]).toMatchObject({
        name: 'two/net',
        child: 'net',
        ike: 'two',
        mode: 'TUNNEL',
        'local-ts': ['127.0.0.1/32'],
        'remote-ts': ['10.3.0.0/24'],
      });
    });

    it('are listed by connection and by child', async () => {
      await install('one', 'net');
      await install('two', 'net');
      await install('one', 'other');
      expect(await names({ ike: 'one' })).toEqual(['one/other', 'one/net']);
      expect(await names({ child: 'net' })).toEqual(['two/net', 'one/net']);
      expect(await names({ ike: 'two', child: 'other' })).toEqual([]);
    });

    it('are listed when traps are mentioned only', async () => {
      await install('one', 'net');
      expect(await collect(session.stream('list-policies', { drop: true, pass: true }))).toEqual([]);
      expect(await collect(session.stream('list-policies'))).toEqual([]);
    });

    it('are listed apart from what only drops, which stays as it was installed first', async () => {
      const shunted = (remoteSubnet: string): ViciConnConfig => {
        const child = { mode: 'drop' as const, local_ts: ['127.0.0.1/32'], remote_ts: [remoteSubnet], mark_out: '0x7' };
        return { ...CONFIG, children: { none: child } };
      };
      const dropped = (): Promise<ViciPolicy[]> => collect(session.stream('list-policies', { drop: true }));
      await session.call('load-conn', { one: shunted('10.3.0.0/24') });
      await install('one', 'none');
      await session.call('load-conn', { one: shunted('10.4.0.0/24') });
      await install('one', 'none');
      const [seen, ...others] = await dropped();
      expect(seen).toMatchObject({ ike: 'one', child: 'none', mode: 'DROP', 'remote-ts': ['10.3.0.0/24'] });
      expect([...others, ...(await listed())]).toEqual([]);
      await session.call('uninstall', { ike: 'one', child: 'none' });
      expect(await dropped()).toEqual([]);
    });

    it('are what was loaded when they were installed last, and then the youngest', async () => {
      await install('one', 'net');
      await install('one', 'other');
      await session.call('load-conn', { one: trapped('10.4.0.0/24') });
      expect((await listed({ child: 'net' }))[0]).toMatchObject({ 'remote-ts': ['10.3.0.0/24'] });
      await install('one', 'net');
      expect(await names()).toEqual(['one/net', 'one/other']);
      expect((await listed({ child: 'net' }))[0]).toMatchObject({ 'remote-ts': ['10.4.0.0/24'] });
    });

    it('stay when their connection is unloaded, until they are uninstalled', async () => {
      await install('one', 'net');
      await session.call('unload-conn', { name: 'one' });
      expect(await names()).toEqual(['one/net']);
      await session.call('uninstall', { ike: 'one', child: 'net' });
      expect(await names()).toEqual([]);
    });

    it('are of the first connection that has the child where none is named, and the youngest goes first', async () => {
      await session.call('install', { child: 'net' });
      expect(await names()).toEqual(['one/net']);
      await install('two', 'net');
      await session.call('uninstall', { child: 'net' });
      expect(await names()).toEqual(['one/net']);
    });

    it('are refused in charon’s words', async () => {
      await session.call('load-conn', { open: { ...trapped('10.3.0.0/24'), remote_addrs: ['%any'] } });
      expect(await refusalOf(install('open', 'net'))).toBe("installing policy 'net' failed");
      await session.call('unload-conn', { name: 'open' });
      expect(await refusalOf(install('open', 'net'))).toBe('configuration name not found');
      expect(await refusalOf(session.call('uninstall', { ike: 'one', child: 'net' }))).toBe("policy 'net' not found");
      const nothing = new Map([['ike', 'one']]);
      expect(await refusalOf(session.call('install', nothing))).toBe('missing configuration name');
      expect(await refusalOf(session.call('uninstall', nothing))).toBe('missing configuration name');
    });

    it('are forgotten by the next charon', async () => {
      await install('one', 'net');
      await session[Symbol.asyncDispose]();
      await charon.restart();
      session = await ViciSession.connect(charon.address);
      expect(await names()).toEqual([]);
    });
  });
}
