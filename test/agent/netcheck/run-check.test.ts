import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { NetCheck } from '../../../src/agent/netcheck/net-check.ts';
import { reflection } from '../../../src/agent/netcheck/reflector.ts';
import { runNetCheck } from '../../../src/agent/netcheck/run-check.ts';
import type { Target } from '../../../src/agent/netcheck/targets.ts';
import { ManualClock } from '../../reconcile/memory-charon.ts';
import { ike, instantPause, MemoryNetwork, UNROUTED, type Service } from './memory-network.ts';

const HUB = '203.0.113.10';
const master1: Target = { node: 'master1', host: HUB };
const ports = [7445, 7446];

let network: MemoryNetwork;
let waits: number[];

beforeEach(() => {
  network = new MemoryNetwork();
  waits = [];
});

function check(targets: readonly Target[] = [master1], signal = new AbortController().signal): Promise<NetCheck> {
  const deps = { clock: new ManualClock(), network, randomBytes, reflectorPorts: ports, pause: instantPause(waits) };
  return runNetCheck(deps, targets, signal);
}

function serve(address: string, services: { readonly reflector?: Service; readonly ike?: Service } = {}): void {
  for (const port of ports) network.services.set(`${address}:${port}`, services.reflector ?? reflection);
  for (const port of [500, 4500]) network.services.set(`${address}:${port}`, services.ike ?? ike);
}

const cone = (): { address: string; port: number } => ({ address: '203.0.113.21', port: 1024 });

describe('a check', () => {
  it('of a node behind a NAT that keeps its mapping', async () => {
    serve(HUB);
    network.nat = cone;
    expect(await check()).toEqual({
      atMs: 1_000_000,
      natKind: 'cone',
      targets: [
        {
          ...master1,
          address: HUB,
          local: { address: '192.168.1.2', port: 40_000 },
          reflexive: ports.map((reflectorPort) => ({ reflectorPort, endpoint: cone() })),
          ike500: true,
          ike4500: true,
          mtu: 1500,
        },
      ],
    });
  });

  it('of a node behind a symmetric NAT', async () => {
    serve(HUB);
    network.nat = (_local, { port }) => ({ address: '203.0.113.21', port });
    expect(await check()).toMatchObject({ natKind: 'symmetric' });
  });

  it('of a node without a NAT', async () => {
    serve(HUB);
    expect(await check()).toMatchObject({ natKind: 'none' });
  });

  it('uses one socket for all targets of a family, and closes it', async () => {
    const seen = new Set<string>();
    const opened = network.open.bind(network);
    network.open = (options) => {
      seen.add(`${options.family}`);
      expect(network.sockets.size).toBeLessThan(2);
      return opened(options);
    };
    serve(HUB);
    serve('203.0.113.11');
    serve('2001:db8::10');
    const targets = [master1, { node: 'master2', host: '203.0.113.11' }, { node: 'master2', host: '2001:db8::10' }];
    const { targets: found } = await check(targets);
    expect(found.map(({ local }) => local?.port)).toEqual([40_000, 40_000, 40_001]);
    expect([...seen]).toEqual(['4', '6']);
    expect(network.sockets.size).toBe(0);
  });

  it('resolves host names', async () => {
    serve(HUB);
    network.names.set('hub.example', HUB);
    expect((await check([{ node: 'master1', host: 'hub.example' }])).targets[0]).toMatchObject({
      host: 'hub.example',
      address: HUB,
      ike500: true,
    });
  });

  it('does not wait for a resolver that hangs', async () => {
    network.resolve = () => new Promise(() => undefined);
    expect((await check()).targets[0]).toMatchObject({ address: null, ike500: false });
    expect(waits).toEqual([3000]);
  });

  it.each([
    ['a name that nobody knows', 'nowhere.example', null],
    ['an address without a route', UNROUTED, UNROUTED],
  ])('of %s asks nothing', async (_what, host, address) => {
    expect(await check([{ node: 'master1', host }])).toMatchObject({
      natKind: 'blocked',
      targets: [{ address, local: null, reflexive: [], ike500: false, ike4500: false, mtu: null }],
    });
    expect(network.sent).toEqual([]);
  });

  it('finds each question its answer when two of three packets are lost', async () => {
    serve(HUB);
    network.nat = cone;
    // The first and the second packet of every question: nine questions, four of them before the packet sizes.
    const sends = new Map<string, number>();
    network.isLost = (packet) => {
      const { address, port } = network.sent[packet]!;
      const key = `${address}:${port}`;
      sends.set(key, (sends.get(key) ?? 0) + 1);
      return sends.get(key)! <= 2;
    };
    expect(await check()).toMatchObject({
      natKind: 'cone',
      targets: [{ ike500: true, ike4500: true, mtu: 1500 }],
    });
  });

  it('asks three times, and then says so', async () => {
    expect(await check()).toMatchObject({
      natKind: 'blocked',
      targets: [{ reflexive: [{ endpoint: null }, { endpoint: null }], ike500: false, ike4500: false, mtu: null }],
    });
    expect(network.sent).toHaveLength(3 * 4);
    expect(waits.filter((ms) => ms === 900)).toHaveLength(4);
  });

  it('knows no kind of NAT where only IKE daemons answer', async () => {
    serve(HUB, { reflector: () => undefined });
    expect(await check()).toMatchObject({ natKind: 'unknown', targets: [{ ike500: true, mtu: null }] });
  });

  it('tells the ports of IKE apart', async () => {
    serve(HUB);
    network.services.delete(`${HUB}:4500`);
    expect((await check()).targets[0]).toMatchObject({ ike500: true, ike4500: false });
  });

  it.each([
    [
      'are lost',
      (size: number) =>
        (datagram: Uint8Array): boolean =>
          datagram.byteLength + 28 > size,
      1500,
    ],
    ['leave in fragments', () => (): boolean => false, 1400],
  ])('finds the largest packet when larger ones %s', async (_how, isDropped, mtu) => {
    const drops = isDropped(1400);
    serve(HUB, { reflector: (datagram, from) => (drops(datagram) ? undefined : reflection(datagram, from)) });
    network.mtu = mtu;
    expect((await check()).targets[0]).toMatchObject({ mtu: 1380 });
  });

  it('believes nobody who does not know the question, or answers from elsewhere', async () => {
    const forged = reflection(new Uint8Array(0), cone());
    expect(forged).toBeUndefined();
    serve(HUB, {
      // Another transaction, another SPI.
      reflector: (datagram, from) =>
        reflection(
          datagram.map((byte, index) => (index === 9 ? byte ^ 1 : byte)),
          from,
        ),
      ike: (datagram, from) => ike(datagram, from)?.map((byte, index) => (index === 5 ? byte ^ 1 : byte)),
    });
    expect(await check()).toMatchObject({ natKind: 'blocked' });
    serve(HUB, {
      reflector: (datagram, from) => {
        const answer = reflection(datagram, from);
        if (answer !== undefined) network.deliver(from.port, answer, { address: '198.51.100.1', port: 7445 });
        return undefined;
      },
    });
    expect(await check()).toMatchObject({ natKind: 'unknown' });
  });

  it('that is stopped ends with what it knows, and leaves no socket', async () => {
    const stop = new AbortController();
    serve(HUB, {
      reflector: () => {
        stop.abort();
        return undefined;
      },
    });
    const { targets } = await check([master1], stop.signal);
    expect(targets[0]?.reflexive.every(({ endpoint }) => endpoint === null)).toBe(true);
    expect(network.sent.length).toBeLessThanOrEqual(4);
    expect(network.sockets.size).toBe(0);
  });

  it('rejects when no socket can be opened', async () => {
    network.openFailure = () => new Error('EMFILE');
    await expect(check()).rejects.toThrow('EMFILE');
  });
});
