import { expect, it } from 'vitest';
import { BULK_COMMANDS_MAX, ViciClient, ViciSession } from '../../src/vici/index.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

/** More than lie ready for a consumer that does not come, so that the stream stays open. */
const CONNS = Object.fromEntries(Array.from({ length: 2000 }, (_unused, index) => [`conn-${index}`, { version: 2 }]));

it('a watch that finds no free connection for its list waits, and harms nobody else', async () => {
  await using charon = await FakeCharon.start();
  charon.load(CONNS);
  const outages: unknown[] = [];
  const { socketPath } = charon;
  await using client = new ViciClient({ socketPath, timeoutMs: 100, onOutage: (outage) => outages.push(outage) });
  const streams = Array.from({ length: BULK_COMMANDS_MAX }, () =>
    client.stream('list-conns', {}, { timeoutMs: 60_000 }),
  );
  for (const stream of streams) await stream.next();
  const first = client.watchSas().next();
  // One try of the watch gives up and the next one begins: its subscription comes anew.
  const clients = new Set(charon.clients);
  await eventually(() =>
    expect([...charon.clients].some((other) => !clients.has(other) && other.registered.includes('ike-updown'))).toBe(
      true,
    ),
  );
  for (const stream of streams) await stream.return();
  expect(await first).toMatchObject({ value: { type: 'resync' } });
  expect(outages).toEqual([]);
});

it('a stream that is aborted gives its connection back, also when nobody takes its next item', async () => {
  await using charon = await FakeCharon.start();
  charon.load(CONNS);
  await using session = await ViciSession.connect({ socketPath: charon.socketPath });
  const stop = new AbortController();
  const streams = Array.from({ length: BULK_COMMANDS_MAX }, () =>
    session.stream('list-conns', {}, { signal: stop.signal }),
  );
  for (const stream of streams) await stream.next();
  stop.abort();
  expect((await session.call('get-conns')).conns).toHaveLength(2000);
  expect((await viciRejectionOf(streams[0]!.next())).code).toBe('aborted');
});

it('an answer that arrived while this process was busy is in time', async () => {
  await using charon = await FakeCharon.start();
  await using session = await ViciSession.connect({ socketPath: charon.socketPath });
  const held = charon.hold('version');
  const version = session.call('version', {}, { timeoutMs: 40 });
  await held.arrived();
  held.open();
  // The answer is written in a microtask; then nothing is read until the deadline is long over.
  await Promise.resolve();
  setImmediate(() => {
    for (const untilMs = performance.now() + 120; performance.now() < untilMs;);
  });
  expect(await version).toMatchObject({ daemon: 'charon-systemd' });
});
