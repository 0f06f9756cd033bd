import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VICI_EVENTS } from '../../src/vici/events.ts';
import { decodeMessage, encodeMessage, type ViciSection } from '../../src/vici/message.ts';
import { decodePacket, encodePacket, type Packet } from '../../src/vici/packet.ts';
import { encodeSegment, SegmentDecoder } from '../../src/vici/segment.ts';

/** Answers one request. What it does not send stays unanswered; the client's next request waits until it resolves. */
export type Handler = (client: FakeClient, request: ViciSection) => void | Promise<void>;

export const success: ViciSection = new Map([['success', 'yes']]);

/** Answers at once. */
export const answerWith =
  (reply: ViciSection): Handler =>
  (client) =>
    client.respond(reply);

/** Never answers, and so blocks what is behind it, as a charon does whose reply outgrew a segment. */
export const neverAnswer: Handler = () => new Promise(() => {});

/** Streams events and answers then. */
export const streamOf =
  (event: string, bodies: readonly ViciSection[], reply: ViciSection = new Map()): Handler =>
  (client) => {
    for (const body of bodies) client.event(event, body);
    client.respond(reply);
  };

/** One connection, as charon sees it: requests are carried out one by one and answered in order. */
export class FakeClient {
  readonly registered: string[] = [];
  /** Packets that have arrived, carried out or not. */
  packetsReceived = 0;
  readonly #socket: Socket;
  readonly #charon: FakeCharon;
  readonly #decoder = new SegmentDecoder();
  #turn: Promise<void> = Promise.resolve();

  constructor(socket: Socket, charon: FakeCharon) {
    this.#socket = socket;
    this.#charon = charon;
    socket.on('data', (chunk) => {
      for (const segment of this.#decoder.push(chunk)) {
        const packet = decodePacket(segment);
        this.packetsReceived += 1;
        this.#turn = this.#turn.then(() => this.#handle(packet));
      }
    });
    socket.on('error', () => {});
  }

  respond(reply: ViciSection): void {
    this.send({ type: 'cmd-response', body: encodeMessage(reply) });
  }

  /** Only to who has registered, as charon does. */
  event(name: string, body: ViciSection): void {
    const times = this.registered.filter((registered) => registered === name).length;
    for (let time = 0; time < times; time += 1) this.send({ type: 'event', name, body: encodeMessage(body) });
  }

  send(packet: Packet): void {
    this.sendBytes(encodeSegment(encodePacket(packet)));
  }

  sendBytes(bytes: Uint8Array): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  /** Sends what is queued, then closes. */
  end(): void {
    this.#socket.end();
  }

  async #handle(packet: Packet): Promise<void> {
    if (packet.type === 'cmd-request') {
      this.#charon.commands.push(packet.name);
      const handler = this.#charon.handlers.get(packet.name);
      if (handler === undefined) return this.send({ type: 'cmd-unknown' });
      return handler(this, decodeMessage(packet.body));
    }
    if (packet.type !== 'event-register') return undefined;
    const isKnown = this.#charon.knownEvents.has(packet.name);
    if (isKnown) this.registered.push(packet.name);
    return this.send({ type: isKnown ? 'event-confirm' : 'event-unknown' });
  }
}

/** A charon for tests: the socket and the order of answers are real, the commands are what the test says. */
export class FakeCharon implements AsyncDisposable {
  readonly socketPath: string;
  /** Names of the commands in the order of their execution. */
  readonly commands: string[] = [];
  readonly clients = new Set<FakeClient>();
  readonly knownEvents = new Set<string>(VICI_EVENTS);
  readonly handlers = new Map<string, Handler>([
    ['load-conn', answerWith(success)],
    ['unload-conn', answerWith(success)],
    ['get-conns', answerWith(new Map([['conns', []]]))],
  ]);
  /** How many connections have been open at once. */
  clientsMax = 0;
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socketPath = join(folder, 'charon.vici');
    this.#server = createServer((socket) => {
      const client = new FakeClient(socket, this);
      this.clients.add(client);
      this.clientsMax = Math.max(this.clientsMax, this.clients.size);
      socket.once('close', () => this.clients.delete(client));
    });
  }

  /** `backlog`: connections that may wait to be accepted. */
  static async start(backlog = 511): Promise<FakeCharon> {
    const charon = new FakeCharon(await mkdtemp(join(tmpdir(), 'fake-charon-')));
    await new Promise<void>((resolve) => {
      charon.#server.listen({ path: charon.socketPath, backlog }, resolve);
    });
    return charon;
  }

  on(command: string, handler: Handler): void {
    this.handlers.set(command, handler);
  }

  emit(event: string, body: ViciSection): void {
    for (const client of this.clients) client.event(event, body);
  }

  /** All connections end, as when the process dies. */
  die(): void {
    for (const client of this.clients) client.hangUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.die();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    await rm(this.#folder, { recursive: true, force: true });
  }
}
