import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';
import { decodeCoordinatorFrame, encodeFrame } from '../../src/control/codec.ts';
import { CLOSE_CODES, PROTOCOL_VERSION } from '../../src/control/frames.ts';
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from '../../src/control/limits.ts';
import type { ChannelLimits } from '../../src/coordinator/channel-limits.ts';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { firstHello } from '../control/frame-builders.ts';
import { meshCa } from '../identity/mesh.ts';
import { withOtherSignature } from '../identity/other-signature.ts';
import { EDGE1, FakeHost, nodeKeys, openTestServer, type NodeKeys } from './channel-fixture.ts';
import { signedState, unchanged } from '../control/statements.ts';

const OPENED = 'opened edge1 from 127.0.0.1';
const hello = encodeFrame(firstHello);

let ca: MeshCa;
let edge1: NodeKeys;
let host: FakeHost;
let server: ChannelServer;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  ca = await meshCa();
  edge1 = await nodeKeys(ca);
});
beforeEach(() => start());
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await server[Symbol.asyncDispose]();
});

async function start(limits: Partial<ChannelLimits> = {}): Promise<void> {
  if (server !== undefined) await server[Symbol.asyncDispose]();
  host = new FakeHost();
  host.keys.set(edge1.spkiSha256, EDGE1);
  server = await openTestServer(ca, host, limits);
}

function dial(keys: Partial<NodeKeys> = edge1, options: ClientOptions = {}, path = '/v1/channel'): WebSocket {
  const { key, cert } = keys;
  const socket = new WebSocket(`wss://127.0.0.1:${server.port}${path}`, {
    ca: ca.certificatePem,
    ...(key === undefined ? {} : { key, cert }),
    ...options,
  });
  sockets.push(socket);
  return socket;
}

async function open(...args: Parameters<typeof dial>): Promise<WebSocket> {
  const socket = dial(...args);
  await once(socket, 'open');
  return socket;
}

async function openWithHello(): Promise<WebSocket> {
  const socket = await open();
  socket.send(hello);
  await host.until(1);
  return socket;
}

/** The HTTP status that an upgrade is refused with. */
async function refusal(...args: Parameters<typeof dial>): Promise<number | undefined> {
  const socket = dial(...args);
  const [error] = (await once(socket, 'error')) as [Error];
  return Number(/Unexpected server response: (\d+)/.exec(error.message)?.[1]);
}

async function closeCode(socket: WebSocket): Promise<number> {
  const [code] = (await once(socket, 'close')) as [number];
  return code;
}

function tls(options: ConnectionOptions = {}): TLSSocket {
  const { key, cert } = edge1;
  return connectTls({ host: '127.0.0.1', port: server.port, ca: ca.certificatePem, key, cert, ...options });
}

const frame = unchanged();

describe('a control channel', () => {
  it('opens with a hello, then carries frames both ways, and is reported closed', async () => {
    const socket = await openWithHello();
    socket.send(encodeFrame({ type: 'ack', epoch: 'e', generation: 3, outcomes: [] }));
    expect(await host.until(2)).toEqual([OPENED, 'received ack of edge1']);

    host.channels[0]?.send(frame);
    const [data] = (await once(socket, 'message')) as [Buffer];
    expect(decodeCoordinatorFrame(data)).toEqual(frame);

    socket.close();
    expect(await host.until(3)).toContain('closed edge1');
  });

  it('is closed by the host with its code', async () => {
    const socket = await openWithHello();
    host.channels[0]?.close(CLOSE_CODES.replaced, 'replaced');
    expect(await closeCode(socket)).toBe(CLOSE_CODES.replaced);
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('takes nothing after it was closed', async () => {
    const socket = await openWithHello();
    host.channels[0]?.close(CLOSE_CODES.replaced, 'replaced');
    host.channels[0]?.send(frame);
    socket.on('message', () => host.heard.push('a message'));
    socket.send(hello);
    expect(await closeCode(socket)).toBe(CLOSE_CODES.replaced);
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('ends soon after it was closed, also when the node keeps its end open', async () => {
    await start({ closeTimeoutMs: 20 });
    const socket = await openWithHello();
    socket.pause();
    host.channels[0]?.close(CLOSE_CODES.revoked, 'this node is revoked');
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('negotiates no compression', async () => {
    expect((await open(edge1, { perMessageDeflate: true })).extensions).toBe('');
  });

  it('outlives a frame that is too large to send', async () => {
    const socket = await openWithHello();
    const big = { type: 'snapshot', signed: signedState('') } as const;
    host.channels[0]?.send({ ...big, state: 'x'.repeat(FRAME_BYTES_MAX) });
    host.channels[0]?.send({ ...big, state: 'small' });
    const [data] = (await once(socket, 'message')) as [Buffer];
    expect(decodeCoordinatorFrame(data)).toMatchObject({ state: 'small' });
  });

  it('is closed when the host fails, and the server goes on', async () => {
    const socket = await openWithHello();
    host.onFrame = () => {
      throw new Error('bug');
    };
    socket.send(hello);
    expect(await closeCode(socket)).toBe(1011);
    await open();
  });
});

describe('the door', () => {
  it.each([
    ['without a client certificate', 401, () => Promise.resolve({})],
    ['with a certificate of another CA', 401, async () => nodeKeys(await meshCa('other.example'))],
    ['with a certificate of another CA of the same name', 401, async () => nodeKeys(await meshCa())],
    ['with an expired certificate', 401, () => nodeKeys(ca, -1 / 48)],
    ['with a key that is not known', 403, () => nodeKeys(ca)],
  ])('stays shut %s', async (_who, status, keys) => {
    expect(await refusal(await keys())).toBe(status);
    expect(host.heard).toEqual([]);
  });

  it('is at one path only', async () => {
    expect(await refusal(edge1, {}, '/v1/other')).toBe(404);
  });

  it('shuts for a node that was removed', async () => {
    await open();
    host.keys.clear();
    expect(await refusal()).toBe(403);
  });

  it('shuts for a node that was revoked, in every spelling of its certificate', async () => {
    const respelt = { ...edge1, cert: withOtherSignature(edge1.cert) };
    expect(respelt.cert).not.toBe(edge1.cert);
    await open(respelt);
    host.keys.clear();
    host.revokedKeys.set(edge1.spkiSha256, EDGE1);
    expect(await refusal()).toBe(410);
    expect(await refusal(respelt)).toBe(410);
    expect(host.heard).toEqual([]);
    expect(host.refusals).toEqual(['edge1 from 127.0.0.1: revoked', 'edge1 from 127.0.0.1: revoked']);
  });

  it('is quick to refuse a revoked node that knocks all the time', async () => {
    host.keys.clear();
    host.revokedKeys.set(edge1.spkiSha256, EDGE1);
    const refusals = await Promise.all(Array.from({ length: 50 }, () => refusal()));
    expect(new Set(refusals)).toEqual(new Set([410]));
  });

  it('knows TLS 1.3 only', async () => {
    const socket = tls({ maxVersion: 'TLSv1.2' });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/protocol version/);
  });

  it('resumes no session', async () => {
    const first = tls();
    await once(first, 'secureConnect');
    const session = await Promise.race([
      once(first, 'session').then(([ticket]) => ticket as Buffer),
      // Without tickets there is nothing to wait for: the answer to a request marks the end of the handshake.
      answerTo(first, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n').then(() => first.getSession()),
    ]);
    const second = tls(session === undefined ? {} : { session });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(false);
    first.destroy();
    second.destroy();
  });

  it('shuts for who only connects', async () => {
    await start({ handshakeTimeoutMs: 50 });
    await once(connect(server.port, '127.0.0.1'), 'close');
  });

  it('shuts for who does not finish the handshake', async () => {
    await start({ handshakeTimeoutMs: 50 });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(Buffer.of(22, 3, 1, 64, 0));
    socket.resume();
    await once(socket, 'close');
  });

  it('shuts for who says nothing', async () => {
    await start({ requestTimeoutMs: 50 });
    const socket = tls();
    socket.resume();
    await once(socket, 'close');
  });
});

describe('a bad frame', () => {
  const cases: [string, string | Uint8Array][] = [
    ['garbage', Buffer.from('hello')],
    ['text', 'hello'],
    ['nothing at all', Buffer.alloc(0)],
    ['a first frame that is no hello', encodeFrame({ type: 'ack', epoch: 'e', generation: 1, outcomes: [] })],
    ['a first frame above its limit', Buffer.alloc(HELLO_BYTES_MAX + 1, 0x90)],
  ];
  it.each(cases)('closes the channel: %s', async (_what, data) => {
    const socket = await open();
    socket.send(data);
    expect(await closeCode(socket)).toBe(CLOSE_CODES.badFrame);
    expect(host.heard).toEqual([]);
  });

  it('closes an open channel too', async () => {
    const socket = await openWithHello();
    socket.send(Buffer.from('garbage'));
    expect(await closeCode(socket)).toBe(CLOSE_CODES.badFrame);
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('above the limit is not read to its end', async () => {
    const socket = await openWithHello();
    socket.send(Buffer.alloc(FRAME_BYTES_MAX + 1));
    expect(await closeCode(socket)).toBe(1009);
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('of another protocol version has a close code of its own', async () => {
    const socket = await open();
    socket.send(encodeFrame({ ...firstHello, protocol: PROTOCOL_VERSION + 1 }));
    expect(await closeCode(socket)).toBe(CLOSE_CODES.protocol);
    expect(host.heard).toEqual([]);
  });
});

describe('a node that', () => {
  it('says no hello in time is turned away', async () => {
    await start({ helloTimeoutMs: 30 });
    expect(await closeCode(await open())).toBe(CLOSE_CODES.badFrame);
    expect(host.heard).toEqual([]);
  });

  it('does not answer pings is dropped', async () => {
    await start({ pingIntervalMs: 20 });
    await open(edge1, { autoPong: false }).then((socket) => socket.send(hello));
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });

  it('answers pings is kept', async () => {
    await start({ pingIntervalMs: 5 });
    const socket = await openWithHello();
    for (let pings = 0; pings < 6; pings += 1) await once(socket, 'ping');
    expect(host.heard).toEqual([OPENED]);
  });

  it('does not read is dropped, and its frames with it', async () => {
    await start({ unsentBytesMax: 100_000 });
    const socket = await openWithHello();
    socket.pause();
    const frame = { type: 'snapshot', signed: signedState('') } as const;
    const state = 'x'.repeat(FRAME_BYTES_MAX / 2);
    for (let sent = 0; sent < 100 && host.heard.length < 2; sent += 1) {
      host.channels[0]?.send({ ...frame, state });
      await new Promise(setImmediate);
    }
    expect(await host.until(2)).toEqual([OPENED, 'closed edge1']);
  });
});

describe('a node that sends', () => {
  it('more than its share is read more slowly, and nothing of it is lost', async () => {
    await start({ intake: { perSecond: 50, burst: 1 } });
    const startedMs = performance.now();
    const socket = await openWithHello();
    for (let generation = 1; generation <= 10; generation += 1) {
      socket.send(ack(generation));
      await new Promise(setImmediate);
    }
    expect((await host.until(11)).slice(1)).toEqual(Array(10).fill('received ack of edge1'));
    expect(performance.now() - startedMs).toBeGreaterThan(100);
  });

  it.each<[string, (socket: WebSocket) => void]>([
    ['pings', (socket) => socket.ping()],
    ['pongs', (socket) => socket.pong()],
    ['small frames', (socket) => socket.send(ack(1))],
  ])('a flood of %s is closed with 4029', async (_what, send) => {
    await start({ intake: { perSecond: 1, burst: 10 }, intakeDebtMsMax: 1000 });
    const socket = await openWithHello();
    // Corked, so that they come as one.
    const { _socket: stream } = socket as unknown as { readonly _socket: TLSSocket };
    stream.cork();
    for (let count = 0; count < 100; count += 1) send(socket);
    stream.uncork();
    expect(await closeCode(socket)).toBe(CLOSE_CODES.tooMuch);
    while (host.heard.at(-1) !== 'closed edge1') await host.until(host.heard.length + 1);
  });

  it('a frame in very many fragments is closed', async () => {
    const socket = await openWithHello();
    for (let count = 0; count < 20; count += 1) socket.send('x', { fin: false, binary: true });
    expect(await closeCode(socket)).toBe(1008);
  });

  it('no hello has one such channel at most', async () => {
    const first = await open();
    const second = await open();
    expect(await closeCode(first)).toBe(CLOSE_CODES.replaced);
    second.send(hello);
    expect(await host.until(1)).toEqual([OPENED]);
  });

  it('itself again and again is told to wait', async () => {
    await start({ openings: { perSecond: 0.001, burst: 2 } });
    await open();
    await open();
    expect(await refusal()).toBe(429);
  });
});

describe('connections of strangers', () => {
  it('make way for newer ones, and no channel does', async () => {
    await start({ strangersMax: 2 });
    const channel = await openWithHello();
    const oldest = connect(server.port, '127.0.0.1');
    const ended = once(oldest, 'close');
    await once(oldest, 'connect');
    const others = [1, 2].map(() => connect(server.port, '127.0.0.1'));
    await ended;
    await open();
    expect(channel.readyState).toBe(WebSocket.OPEN);
    for (const socket of others) socket.destroy();
  });
});

describe('disposal', () => {
  it('closes every channel and frees the port', async () => {
    const socket = await openWithHello();
    const code = closeCode(socket);
    await server[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    expect(await code).toBe(1001);
    expect(host.heard).toEqual([OPENED, 'closed edge1']);
    const [error] = (await once(dial(), 'error')) as [Error];
    expect(error.message).toMatch(/ECONNREFUSED/);
  });

  it('does not wait for a node that is gone in silence', async () => {
    await start({ closeTimeoutMs: 20 });
    const socket = await openWithHello();
    socket.pause();
    await server[Symbol.asyncDispose]();
    expect(host.heard).toEqual([OPENED, 'closed edge1']);
  });
});

async function answerTo(socket: TLSSocket, request: string): Promise<string> {
  socket.write(request);
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

function ack(generation: number): Uint8Array {
  return encodeFrame({ type: 'ack', epoch: null, generation, outcomes: [] });
}
