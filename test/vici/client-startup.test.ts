import { expect, it } from 'vitest';
import { ViciClient, type ViciOutage } from '../../src/vici/index.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

it('waits for a charon that accepts before it knows all its commands', async () => {
  await using charon = await FakeCharon.start();
  charon.forget('get-pools'); // the last that charon registers
  const outages: ViciOutage[] = [];
  await using client = new ViciClient({
    socketPath: charon.socketPath,
    random: () => 0.01,
    onOutage: (outage) => outages.push(outage),
  });
  const version = client.call('version');
  await eventually(() => expect(outages.map(({ error }) => error.code)).toContain('unknown-command'));
  expect(outages[0]).toMatchObject({ attempt: 1, retryInMs: 1 });
  charon.reset('get-pools');
  expect(await version).toMatchObject({ daemon: 'charon-systemd' });
});

it('says within the deadline why there is no charon', async () => {
  await using client = new ViciClient({ socketPath: '/nowhere/charon.vici', timeoutMs: 50 });
  const error = await viciRejectionOf(client.call('version'));
  expect(error.code).toBe('connect-failed');
  expect(error.detail).toContain('/nowhere/charon.vici');
});

it('ends what waits for a charon when it is closed', async () => {
  const client = new ViciClient({ socketPath: '/nowhere/charon.vici' });
  const waiting = [client.call('version'), client.watchSas().next(), client.events(['ike-updown']).next()];
  const codes = Promise.all(waiting.map(async (wait) => (await viciRejectionOf(wait)).code));
  await client[Symbol.asyncDispose]();
  expect(await codes).toEqual(['connection-closed', 'connection-closed', 'connection-closed']);
});
