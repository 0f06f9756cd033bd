import { expect, it } from 'vitest';
import { QUEUE_MAX, ViciSession } from '../../src/vici/index.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { viciRejectionOf } from './vici-error-of.ts';

const WINDOW = 8;

it('refuses a request when too many wait already, and carries out the others', async () => {
  await using charon = await FakeCharon.start();
  await using session = await ViciSession.connect({ socketPath: charon.socketPath, windowMax: WINDOW });
  const held = charon.hold('version');
  const calls = Array.from({ length: WINDOW + QUEUE_MAX }, () => session.call('version'));
  expect((await viciRejectionOf(session.call('version'))).code).toBe('queue-full');
  held.open();
  expect(await Promise.all(calls)).toHaveLength(WINDOW + QUEUE_MAX);
}, 30_000);
