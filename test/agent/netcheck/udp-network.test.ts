import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Endpoint } from '../../../src/agent/netcheck/endpoint.ts';
import { Reflector } from '../../../src/agent/netcheck/reflector.ts';
import { runNetCheck } from '../../../src/agent/netcheck/run-check.ts';
import { systemNetwork, type UdpSocket } from '../../../src/agent/netcheck/udp-network.ts';
import { systemClock } from '../../../src/clock.ts';
import { createLogger } from '../../../src/log.ts';
import { eventually } from '../../vici/eventually.ts';

type Heard = [string, Endpoint][];

async function open(heard: Heard = [], port = 0): Promise<UdpSocket> {
  const onDatagram = (datagram: Uint8Array, from: Endpoint): void => {
    heard.push([Buffer.from(datagram).toString(), from]);
  };
  const socket = await systemNetwork.open({ family: 4, port, onDatagram });
  onTestFinished(() => socket[Symbol.asyncDispose]());
  return socket;
}

/** Ports that were free a moment ago. */
async function freePorts(): Promise<number[]> {
  const sockets = await Promise.all([open(), open()]);
  await Promise.all(sockets.map((socket) => socket[Symbol.asyncDispose]()));
  return sockets.map(({ port }) => port);
}

describe('the network of this machine', () => {
  it('carries datagrams, and tells from where', async () => {
    const heard: Heard = [];
    const [a, b] = await Promise.all([open(), open(heard)]);
    expect(a.send(Buffer.from('hello'), { address: '127.0.0.1', port: b.port })).toBe(true);
    await eventually(() => expect(heard).toEqual([['hello', { address: '127.0.0.1', port: a.port }]]));
  });

  it('does not give a port twice', async () => {
    const { port } = await open();
    await expect(open([], port)).rejects.toThrow('EADDRINUSE');
  });

  it('swallows what cannot be sent', async () => {
    const heard: Heard = [];
    const socket = await open(heard);
    const self = { address: '127.0.0.1', port: socket.port };
    socket.send(new Uint8Array(70_000), self);
    socket.send(Buffer.from('after'), self);
    await eventually(() => expect(heard).toHaveLength(1));
  });

  it('knows the own address on the way to another, and that there is none', async () => {
    expect(await systemNetwork.localAddressTowards('127.0.0.1')).toBe('127.0.0.1');
    // The kernel refuses to connect to the broadcast address, as it does without a route.
    expect(await systemNetwork.localAddressTowards('255.255.255.255')).toBeUndefined();
  });

  it('knows addresses and host names, in one spelling', async () => {
    expect(await systemNetwork.resolve('127.0.0.1')).toBe('127.0.0.1');
    expect(await systemNetwork.resolve('2001:DB8:0::1')).toBe('2001:db8::1');
    expect(await systemNetwork.resolve('nowhere.invalid')).toBeUndefined();
  });
});

describe('on this machine', () => {
  const logger = createLogger('test', 'silent');

  it('a check finds a reflector, and that there is no NAT', async () => {
    const reflectorPorts = await freePorts();
    const reflector = new Reflector({ network: systemNetwork, clock: systemClock, logger });
    onTestFinished(() => reflector[Symbol.asyncDispose]());
    await reflector.serve(reflectorPorts);
    const deps = { clock: systemClock, network: systemNetwork, randomBytes, reflectorPorts };
    const check = await runNetCheck(deps, [{ node: 'self', host: '127.0.0.1' }], new AbortController().signal);
    expect(check).toMatchObject({ natKind: 'none', targets: [{ local: { address: '127.0.0.1' }, mtu: 1500 }] });
  });

  it('a reflector lives through a datagram of nobody', async () => {
    const [port = 0] = await freePorts();
    const reflector = new Reflector({ network: systemNetwork, clock: systemClock, logger });
    onTestFinished(() => reflector[Symbol.asyncDispose]());
    await reflector.serve([port]);
    const stranger = createSocket('udp4');
    onTestFinished(() => void stranger.close());
    stranger.send(Buffer.alloc(0), port, '127.0.0.1');
    stranger.send(Buffer.alloc(40_000), port, '127.0.0.1');
    stranger.send(
      Buffer.from('000100002112a442000000000000000000000000ffc70008'.padEnd(128, '0'), 'hex'),
      port,
      '127.0.0.1',
    );
    const good = Buffer.from(`0001002c2112a442${'11'.repeat(12)}ffc70028${'00'.repeat(40)}`, 'hex');
    stranger.send(good, port, '127.0.0.1');
    const [answer] = (await once(stranger, 'message')) as [Buffer];
    expect(answer.subarray(8, 20)).toEqual(Buffer.alloc(12, 0x11));
  });
});
