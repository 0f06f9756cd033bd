import { describe, expect, it } from 'vitest';
import type { LinkReport } from '../../src/agent/api.ts';
import { reconnectRefusal } from '../../src/agent/reconnect.ts';

const alive = { health: 'alive', rttMs: 2.4, loss: 0 } as const;
const link = (change: Partial<LinkReport> = {}): LinkReport => ({
  id: 'edge1--remote',
  peer: 'remote',
  path: 'direct',
  sinceMs: 1000,
  problem: null,
  directFailures: 0,
  cause: null,
  direct: alive,
  relay: alive,
  ...change,
});

describe('giving up a direct tunnel on command', () => {
  it('is possible while both paths work', () => expect(reconnectRefusal(link())).toBeUndefined());

  it('is possible also while the direct one carries nothing that is known of', () =>
    expect(reconnectRefusal(link({ direct: { ...alive, health: 'unknown' } }))).toBeUndefined());

  it.each<[string, Partial<LinkReport>, string, string]>([
    ['there is no direct path', { path: 'relay' }, 'not-direct', 'its path is "relay" now'],
    ['there is no path at all', { path: 'none' }, 'not-direct', 'its path is "none" now'],
    ['charon cannot be asked', { path: 'unknown' }, 'not-direct', 'its path is "unknown" now'],
    ['there is no relay', { relay: null }, 'no-relay', 'there is no relay that works for remote'],
    ['the relay is dead', { relay: { ...alive, health: 'dead' } }, 'no-relay', 'would cut the link'],
    ['the relay has not answered yet', { relay: { ...alive, health: 'unknown' } }, 'no-relay', 'would cut the link'],
  ])('is refused when %s', (_what, change, code, message) =>
    expect(reconnectRefusal(link(change))).toMatchObject({
      status: 409,
      code,
      message: expect.stringContaining(message) as string,
    }),
  );
});
