import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { reflection, Reflector } from '../../../src/agent/netcheck/reflector.ts';
import { decodeStun, encodeRequest, encodeResponse } from '../../../src/agent/netcheck/stun.ts';
import { createLogger } from '../../../src/log.ts';
import { ManualClock } from '../../reconcile/memory-charon.ts';
import { MemoryNetwork } from './memory-network.ts';

const id = new Uint8Array(12).fill(7);
const from = { address: '203.0.113.21', port: 40_000 };
const from6 = { address: '2001:db8::21', port: 40_000 };

describe('a reflection', () => {
  it('tells the sender its endpoint', () =>
    expect(decodeStun(reflection(encodeRequest(id, 64), from)!)).toEqual({
      type: 'response',
      transactionId: id,
      mapped: from,
    }));

  it('tells one with a zone its address without', () =>
    expect(decodeStun(reflection(encodeRequest(id, 64), { address: 'fe80::1%eth0', port: 5 })!)).toMatchObject({
      mapped: { address: 'fe80::1', port: 5 },
    }));

  it.each([
    ['a response, so that two reflectors cannot be set on each other', encodeResponse(id, from), from],
    ['anything else', new Uint8Array(100), from],
    ['a request that is shorter than the answer', encodeRequest(id, 28), from],
    ['a request that is shorter than the answer over IPv6', encodeRequest(id, 40), from6],
    ['port 0, to which nothing can be sent', encodeRequest(id, 64), { ...from, port: 0 }],
    ['no address', encodeRequest(id, 64), { address: '', port: 5 }],
  ])('is not given to %s', (_what, datagram, sender) => expect(reflection(datagram, sender)).toBeUndefined());

  it('is never larger than what caused it', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.integer({ min: 6, max: 60 }).map((words) => encodeRequest(id, words * 4)),
        ),
        fc.constantFrom(from, from6),
        (datagram, sender) => {
          expect(reflection(datagram, sender)?.byteLength ?? 0).toBeLessThanOrEqual(datagram.byteLength);
        },
      ),
    ));
});

describe('a reflector', () => {
  let network: MemoryNetwork;
  let clock: ManualClock;
  let warnings: string[];
  let reflector: Reflector;

  beforeEach(() => {
    network = new MemoryNetwork();
    clock = new ManualClock();
    warnings = [];
    const logger = createLogger('test', 'warn', { write: (line: string) => warnings.push(line) });
    reflector = new Reflector({ network, clock, logger });
  });

  const inUse = (): void => {
    network.openFailure = ({ port }) =>
      port === 7446 ? Object.assign(new Error('bind EADDRINUSE 0.0.0.0:7446'), { code: 'EADDRINUSE' }) : undefined;
  };

  it('serves the ports of both families that it should, and no others', async () => {
    await reflector.serve([7445, 7446]);
    expect([...network.sockets.keys()].sort((a, b) => a - b)).toEqual([-7446, -7445, 7445, 7446]);
    await reflector.serve([7446]);
    expect([...network.sockets.keys()].sort((a, b) => a - b)).toEqual([-7446, 7446]);
    await reflector[Symbol.asyncDispose]();
    expect(network.sockets.size).toBe(0);
  });

  it('answers', async () => {
    await reflector.serve([7445]);
    network.deliver(7445, encodeRequest(id, 64), from);
    network.deliver(7445, new Uint8Array(64), from);
    expect(network.sent).toEqual([from]);
  });

  it('answers no more than so many at once', async () => {
    await reflector.serve([7445]);
    for (let asked = 0; asked < 3000; asked += 1) network.deliver(7445, encodeRequest(id, 64), from);
    expect(network.sent).toHaveLength(1000);
    clock.advance(1000);
    for (let asked = 0; asked < 3000; asked += 1) network.deliver(7445, encodeRequest(id, 64), from);
    expect(network.sent).toHaveLength(1500);
  });

  it('names a port that is taken, says it once, and has it when it is free', async () => {
    inUse();
    await reflector.serve([7445, 7446]);
    await reflector.serve([7445, 7446]);
    expect(reflector.problems).toEqual([expect.stringMatching(/^UDP port 7446 cannot be opened.*EADDRINUSE/)]);
    expect(warnings).toHaveLength(1);
    expect(network.sockets.has(7445)).toBe(true);
    network.openFailure = undefined;
    await reflector.serve([7445, 7446]);
    expect(reflector.problems).toEqual([]);
    expect(network.sockets.has(7446)).toBe(true);
  });

  it('has no problem with a port that it need not serve any more', async () => {
    inUse();
    await reflector.serve([7446]);
    await reflector.serve([]);
    expect(reflector.problems).toEqual([]);
  });

  it('does without IPv6 on a machine that has none', async () => {
    network.openFailure = ({ family }) =>
      family === 6 ? Object.assign(new Error('socket EAFNOSUPPORT'), { code: 'EAFNOSUPPORT' }) : undefined;
    await reflector.serve([7445]);
    expect([...network.sockets.keys()]).toEqual([7445]);
    expect(reflector.problems).toEqual([]);
  });
});
