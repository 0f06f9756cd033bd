import { afterEach, beforeEach, expect, it } from 'vitest';
import { createServer, type Server, type Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePacket, encodeSegment } from '../../src/vici/index.ts';
import { BareSocket } from './bare-socket.ts';

const ANSWER = 1;
const event = encodeSegment(encodePacket({ type: 'event', name: 'list-conn', body: Uint8Array.of(1, 2, 3) }));
const answer = encodeSegment(encodePacket({ type: 'cmd-response', body: new Uint8Array() }));
const stream = Buffer.concat([event, answer, event, event, answer]);

let folder: string;
let server: Server;
let path: string;
let bare: BareSocket;
let peer: Socket;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cygnet-bench-'));
  path = join(folder, 'socket');
  server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  const connected = new Promise<Socket>((resolve) => {
    server.once('connection', resolve);
  });
  bare = await BareSocket.open(path);
  peer = await connected;
});

afterEach(async () => {
  bare.close();
  peer.destroy();
  server.close();
  await rm(folder, { recursive: true });
});

/** The peer reads a byte, then sends each part for itself. */
async function answerWith(...parts: readonly Uint8Array[]): Promise<void> {
  await new Promise((resolve) => {
    peer.once('data', resolve);
  });
  for (const part of parts) {
    await new Promise((resolve) => {
      peer.write(part, resolve);
    });
  }
}

it.each(Array.from({ length: stream.length - 1 }, (_unused, cut) => [cut + 1]))(
  'counts the answers of a stream that is cut at byte %d',
  async (cut) => {
    const answering = answerWith(stream.subarray(0, cut), stream.subarray(cut));
    await bare.send(Uint8Array.of(0), ANSWER, 2);
    await answering;
  },
);

it('says how many answers are missing when the peer hangs up', async () => {
  const answering = answerWith(stream).then(() => peer.end());
  await expect(bare.send(Uint8Array.of(0), ANSWER, 3)).rejects.toThrow('with 1 segments to come');
  await answering;
});
