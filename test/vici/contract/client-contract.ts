import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ViciClient } from '../../../src/vici/client.ts';
import type { ViciClientEvent } from '../../../src/vici/client-events.ts';
import { collect } from '../collect.ts';
import { viciRejectionOf } from '../vici-error-of.ts';
import type { CharonUnderTest } from './charon-under-test.ts';
import { CONFIG } from './connections.ts';

/** How a client lives on through the ends of its charon. */
export function describeClient(name: string, start: () => Promise<CharonUnderTest>): void {
  describe(`a client of ${name}`, () => {
    let charon: CharonUnderTest;
    let client: ViciClient;
    beforeAll(async () => {
      charon = await start();
    });
    afterAll(async () => {
      await charon[Symbol.asyncDispose]();
    });
    beforeEach(async () => {
      await charon.restart();
      client = new ViciClient(charon.address);
    });
    afterEach(async () => {
      await client[Symbol.asyncDispose]();
    });

    it('goes on with the next charon, which has nothing loaded', async () => {
      await client.call('load-conn', { one: CONFIG });
      expect((await client.call('get-conns')).conns).toEqual(['one']);
      await charon.restart();
      await expect.poll(async () => (await client.call('get-conns')).conns).toEqual([]);
    });

    it('rejects what was under way, and connects again', async () => {
      const session = await client.session();
      const calls = Promise.allSettled(Array.from({ length: 200 }, () => session.call('version')));
      await charon.restart();
      for (const call of await calls) {
        if (call.status === 'rejected') expect(call.reason).toMatchObject({ code: 'connection-closed' });
      }
      expect(await client.call('version')).toMatchObject({ daemon: 'charon-systemd' });
    });

    it('says what is wrong while there is no charon, and is there when there is one', async () => {
      const session = await client.session();
      await charon.kill();
      await session.closed;
      expect((await viciRejectionOf(client.call('version', {}, { timeoutMs: 300 }))).code).toBe('connect-failed');
      const call = client.call('version');
      await charon.restart();
      expect(await call).toMatchObject({ daemon: 'charon-systemd' });
    });

    it('subscribes again once with each charon, and says that events were missed', async () => {
      const events = client.events(['log'], { signal: AbortSignal.timeout(30_000) });
      const nextThat = async (isWanted: (event: ViciClientEvent) => boolean): Promise<ViciClientEvent> => {
        for (;;) {
          const { value } = await events.next();
          if (value === undefined) throw new Error('the events ended');
          if (isWanted(value)) return value;
        }
      };
      const loads = (conn: string) => (event: ViciClientEvent) =>
        event.name === 'log' && event.body.msg === `added vici connection: ${conn}`;
      expect(await nextThat(() => true)).toMatchObject({ name: 'resync', body: { restarted: false } });
      await client.call('load-conn', { before: CONFIG });
      await nextThat(loads('before'));
      await charon.restart();
      expect(await nextThat(({ name: event }) => event === 'resync')).toMatchObject({ name: 'resync' });
      await client.call('load-conn', { after: CONFIG });
      await client.call('load-conn', { last: CONFIG });
      await nextThat(loads('after'));
      // Registered twice, it would come twice.
      const rest: string[] = [];
      await nextThat((event) => {
        if (event.name === 'log') rest.push(event.body.msg);
        return loads('last')(event);
      });
      expect(rest.filter((msg) => msg === 'added vici connection: after')).toEqual([]);
      await events.return();
    });

    it('watches SAs through a restart', async () => {
      const watch = client.watchSas({ signal: AbortSignal.timeout(30_000) });
      expect((await watch.next()).value).toMatchObject({ type: 'resync', restarted: false });
      await charon.restart();
      expect((await watch.next()).value).toMatchObject({ type: 'resync' });
      await watch.return();
    });

    it('ends what it gave out when it is closed', async () => {
      const watch = viciRejectionOf(collect(client.watchSas()));
      const events = viciRejectionOf(collect(client.events(['log'])));
      await client.session();
      await client[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
      expect((await watch).code).toBe('connection-closed');
      expect((await events).code).toBe('connection-closed');
      expect((await viciRejectionOf(client.call('version'))).code).toBe('connection-closed');
    });
  });
}
