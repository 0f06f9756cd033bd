import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { WebSocket } from 'ws';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { encodeFrame } from '../../src/control/codec.ts';
import { CLOSE_CODES, type AgentFrame } from '../../src/control/frames.ts';
import { FRAME_BYTES_MAX, FRAME_ELEMENTS_MAX, HELLO_BYTES_MAX } from '../../src/control/limits.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { dial, StrangersClient, streamOf } from './channel-client.ts';
import { hello } from './nodes.ts';

/** How long each attack that is not over by itself goes on. */
const ATTACK_MS = 4000;

/** Who is attacked, and by which node where it takes one. */
export interface Scene {
  readonly port: number;
  readonly identity: NodeIdentity;
}

/** Resolves to what was wrong about the coordinator's answer; undefined when nothing was. */
export type Attack = (scene: Scene) => Promise<string | undefined>;

/** Read so slowly that it is still open, or closed because so much had arrived at once. */
const SLOWED = ['open', CLOSE_CODES.tooMuch] as const;

/** What is answered at once, by name. Each may use up its node: the next one takes another. */
export const BRIEF_ATTACKS: Readonly<Record<string, Attack>> = {
  // It is cut off while it still sends, and may not see the answer for that.
  '2,000 headers': ({ port }) => {
    const headers = Array.from({ length: 2000 }, (_, index) => `x-${index}: ${'y'.repeat(20)}\r\n`).join('');
    return statusOf(port, `GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`, 431, 0);
  },
  'a request that is no HTTP': ({ port }) => statusOf(port, '\0\x01\x02 hello\r\n\r\n', 400),
  'an enrolment that is too large': ({ port }) => statusOf(port, post('x'.repeat(200_000)), 413),
  'an enrolment that is no JSON': ({ port }) => statusOf(port, post('['.repeat(60_000)), 400),
  'an upgrade without a certificate': ({ port }) => statusOf(port, UPGRADE, 401),
  ...Object.fromEntries(
    Object.entries(frameBombs()).flatMap(([name, { bytes, code }]) => [
      [`${name}, as the first frame`, bomb(bytes, code, false)],
      [`${name}, behind a hello`, bomb(bytes, code, true)],
    ]),
  ),
  'a first frame above its limit': bomb(Buffer.alloc(HELLO_BYTES_MAX + 1, 0x90), CLOSE_CODES.badFrame, false),
  'a frame above the limit': bomb(Buffer.alloc(FRAME_BYTES_MAX + 1, 0x90), 1009, true),
  'a text frame': bomb('{"type":"hello"}', CLOSE_CODES.badFrame, true),
  'a second hello': bomb(encodeFrame(hello()), CLOSE_CODES.badFrame, true),
};

/** All, by name, with those that go on for some seconds. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  ...BRIEF_ATTACKS,
  '1,000 half-open connections': async ({ port }) => {
    const strangers = new StrangersClient(port);
    for (let count = 0; count < 1000; count += 1) strangers.tcp();
    await delay(ATTACK_MS);
    strangers.closeAll();
    return undefined;
  },
  'connections without end': async ({ port }) => {
    const strangers = new StrangersClient(port);
    for (const endMs = Date.now() + ATTACK_MS; Date.now() < endMs; await delay(1)) {
      for (let count = 0; count < 5; count += 1) strangers.tcp();
    }
    strangers.closeAll();
    return undefined;
  },
  '500 slow handshakes': async ({ port }) => {
    const strangers = new StrangersClient(port);
    const sockets = Array.from({ length: 500 }, () => strangers.tcp());
    // The head of a TLS record that says to be long, and then a byte at a time.
    for (const socket of sockets) socket.write(Buffer.of(22, 3, 1, 64, 0));
    for (const endMs = Date.now() + 12_000; Date.now() < endMs && strangers.open > 0; await delay(250)) {
      for (const socket of sockets) if (socket.writable) socket.write(Buffer.of(1));
    }
    const { open } = strangers;
    strangers.closeAll();
    return open === 0 ? undefined : `${open} of 500 are still open after 12 s`;
  },
  '200 TLS connections that say nothing': async ({ port }) => {
    const strangers = new StrangersClient(port);
    for (let count = 0; count < 200; count += 1) strangers.tls().resume();
    for (const endMs = Date.now() + 14_000; Date.now() < endMs && strangers.open > 0;) await delay(250);
    const { open } = strangers;
    strangers.closeAll();
    return open === 0 ? undefined : `${open} of 200 are still open after 14 s`;
  },
  'enrolments with wrong tokens': async ({ port }) => {
    const csr = await createCsr(await generatePrivateKey('ecdsa-p256'));
    const body = JSON.stringify({ secret: 'x'.repeat(43), channelCsr: csr, ikeCsr: csr });
    const statuses = new Set<number>();
    const lane = async (): Promise<void> => {
      for (const endMs = Date.now() + ATTACK_MS; Date.now() < endMs;) {
        statuses.add(await new StrangersClient(port).request(post(body)));
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
    const wrong = [...statuses].filter((status) => status !== 403 && status !== 429);
    return wrong.length === 0 ? undefined : `answered with ${wrong.join(', ')}`;
  },
  'a frame of 1 MiB in fragments of one byte': flood(fragments(), [1008]),
  pings: flood(rawFrame(0x89).repeated(20_000), [CLOSE_CODES.tooMuch]),
  pongs: flood(rawFrame(0x8a).repeated(20_000), [CLOSE_CODES.tooMuch]),
  'small frames': flood(rawFrame(0x82, encodeFrame(ack())).repeated(5000), SLOWED),
  'events without end': flood(rawFrame(0x82, encodeFrame(events())).repeated(1), SLOWED),
  'reports without end': flood(rawFrame(0x82, encodeFrame(report())).repeated(1), SLOWED),
  'a node that connects without end': async ({ identity }) => {
    const statuses = new Set<string>();
    for (const endMs = Date.now() + ATTACK_MS; Date.now() < endMs;) {
      const socket = dial(identity);
      const [what] = await Promise.race([once(socket, 'open'), once(socket, 'error').catch(() => [])]).catch(
        (error: unknown) => [error],
      );
      if (what instanceof Error) statuses.add(/response: (\d+)/.exec(what.message)?.[1] ?? what.message);
      socket.on('error', () => undefined);
      socket.terminate();
    }
    const said = [...statuses].join(', ');
    return said === '429' ? undefined : `refused with: ${said}`;
  },
};

const UPGRADE =
  'GET /v1/channel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

function post(body: string): string {
  return `POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

async function statusOf(port: number, request: string, ...wanted: readonly number[]): Promise<string | undefined> {
  const status = await new StrangersClient(port).request(request);
  return wanted.includes(status) ? undefined : `answered with ${status}`;
}

/** MessagePack that no frame is. */
function frameBombs(): Record<string, { readonly bytes: Buffer; readonly code: number }> {
  const map = (...entries: readonly string[]): Buffer =>
    Buffer.concat([
      Buffer.of(0x80 + entries.length),
      ...entries.map((key) => Buffer.concat([Buffer.of(0xa0 + key.length), Buffer.from(key), Buffer.of(0xc0)])),
    ]);
  const bombs = {
    'deep arrays': Buffer.alloc(60_000, 0x91),
    'a wide array': Buffer.concat([Buffer.of(0xdd, 0, 0, 0xf0, 0), Buffer.alloc(60_000, 0xc0)]),
    'an array that says to be endless': Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0),
    'a text that says to be endless': Buffer.of(0xdb, 0xff, 0xff, 0xff, 0xff, 0x61),
    'something behind its end': Buffer.concat([encodeFrame(hello()), Buffer.of(0)]),
    'a key twice': map('type', 'type'),
    'a key __proto__': map('__proto__'),
    'text that is not UTF-8': Buffer.of(0xa2, 0xc3, 0x28),
    'an extension type': Buffer.of(0xd4, 1, 1),
  };
  return Object.fromEntries(
    Object.entries(bombs).map(([name, bytes]) => [name, { bytes, code: CLOSE_CODES.badFrame }]),
  );
}

function bomb(data: string | Uint8Array, code: number, isGreeted: boolean): Attack {
  return async ({ identity }) => {
    const socket = dial(identity);
    await once(socket, 'open');
    const closed = once(socket, 'close') as Promise<[number]>;
    socket.on('error', () => undefined);
    if (isGreeted) socket.send(encodeFrame(hello()));
    socket.send(data);
    const [found] = await closed;
    return found === code ? undefined : `closed with ${found}`;
  };
}

/** Writes the same bytes over and over, as fast as they are taken, until the channel is closed or time is up. */
function flood(bytes: Buffer, wanted: readonly (number | 'open')[]): Attack {
  return async ({ identity }) => {
    const socket = dial(identity);
    await once(socket, 'open');
    socket.on('error', () => undefined);
    socket.send(encodeFrame(hello()));
    const found = await flooded(socket, bytes);
    socket.terminate();
    return wanted.includes(found) ? undefined : `closed with ${found}`;
  };
}

async function flooded(socket: WebSocket, bytes: Buffer): Promise<number | 'open'> {
  const end: { code?: number } = {};
  socket.on('close', (code) => (end.code = code));
  const stream = streamOf(socket);
  let hasRoom = true;
  stream.on('drain', () => (hasRoom = true));
  for (const endMs = Date.now() + ATTACK_MS; Date.now() < endMs && end.code === undefined;) {
    if (hasRoom && stream.writable) hasRoom = stream.write(bytes);
    await delay(hasRoom ? 0 : 5);
  }
  return end.code ?? 'open';
}

/** A masked WebSocket frame; the mask is zero. */
function rawFrame(head: number, payload: Uint8Array = Buffer.alloc(0)): { repeated: (count: number) => Buffer } {
  const length = Buffer.alloc(payload.length < 126 ? 1 : 9);
  if (payload.length < 126) length.writeUInt8(0x80 + payload.length);
  else {
    length.writeUInt8(0x80 + 127);
    length.writeBigUInt64BE(BigInt(payload.length), 1);
  }
  const frame = Buffer.concat([Buffer.of(head), length, Buffer.alloc(4), payload]);
  return { repeated: (count) => Buffer.concat(Array.from({ length: count }, () => frame)) };
}

function fragments(): Buffer {
  const first = rawFrame(0x02, Buffer.of(0x90)).repeated(1);
  return Buffer.concat([first, rawFrame(0x00, Buffer.of(0x90)).repeated(FRAME_BYTES_MAX / 16)]);
}

function ack(): AgentFrame {
  return { type: 'ack', epoch: null, generation: 1, outcomes: [] };
}

function events(): AgentFrame {
  const event = { atMs: 1, kind: 'step', connection: null, child: null, message: 'x'.repeat(900) };
  return { type: 'events', events: Array.from({ length: 1000 }, () => event) };
}

/** As many values as a frame may have. */
function report(): AgentFrame {
  const ikeSa = {
    uniqueId: 1,
    state: 'CREATED',
    initiator: true,
    localHost: '',
    localPort: 1,
    remoteHost: '',
    remotePort: 1,
    localId: '',
    remoteId: '',
    establishedSeconds: null,
    rekeyInSeconds: null,
    nat: true,
    childSas: [],
  };
  const ikeSas = Array.from({ length: Math.floor(FRAME_ELEMENTS_MAX / 30) }, () => ikeSa);
  const connection = { name: 'x', kind: 'spoke', peer: null, status: 'up' as const, problem: null, ikeSas };
  return {
    type: 'report',
    report: {
      agentVersion: 'proof',
      atMs: 1,
      charon: { connected: true, version: null, sinceMs: null, idleWorkers: null, problem: null },
      generation: 1,
      nat: 'none',
      connections: [connection],
      links: [],
    },
  };
}
