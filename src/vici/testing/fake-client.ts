import type { Socket } from 'node:net';
import { decodeMessage, encodeMessage, type ViciInput, type ViciSection } from '../message.ts';
import { decodePacket, encodePacket, type Packet, type PacketOf } from '../packet.ts';
import { encodeSegment, SEGMENT_BYTES_MAX, SegmentDecoder } from '../segment.ts';
import { ViciError } from '../vici-error.ts';
import { PacedWriter } from './paced-writer.ts';
import { refusal } from './replies.ts';

/** What a handler returns when charon is not to answer. */
export const NO_ANSWER: unique symbol = Symbol('no answer');

/** A reply in charon's spelling, or none at all: the client's next answer then belongs to its next request. */
export type FakeAnswer = ViciInput | typeof NO_ANSWER;

/**
 * Carries a command out. Until the promise resolves the requests behind it on the same connection wait, as they do in
 * charon. What it throws is a mistake of the test and becomes an unhandled rejection.
 */
export type FakeHandler = (request: ViciSection, client: FakeClient) => FakeAnswer | Promise<FakeAnswer>;

/** What comes from a client: a connection, or a packet by its name. */
export type Arrival =
  | { readonly type: 'connection' }
  | { readonly type: 'request'; readonly command: string }
  | { readonly type: 'registration'; readonly event: string };

/** What a connection needs to know of its charon. */
export interface FakeDaemon {
  /** Told of what arrives, before anything is done with it. */
  arrived(arrival: Arrival, client: FakeClient): void;
  /** Told how many bytes a client has sent. */
  received(bytes: number): void;
  /** The handler of a command that is carried out now; undefined for one that this charon does not know. */
  begin(command: string): FakeHandler | undefined;
  knowsEvent(event: string): boolean;
}

/** Requests that may wait on one connection before the fake stops reading from it. */
const REQUESTS_WAITING_MAX = 1024;

/** charon's own reading of names (vici_stringify): it answers nothing to a command with another one. */
const PRINTABLE = /^[\x20-\x7e]*$/;

/** One connection, as charon sees it: requests are carried out one by one and answered in order. */
export class FakeClient {
  /** Names of the events that it is registered for; one that was registered twice stands here, and is sent, twice. */
  readonly registered: string[] = [];
  /** Packets that have arrived, carried out or not. */
  packetsReceived = 0;
  readonly #socket: Socket;
  readonly #daemon: FakeDaemon;
  readonly #writer: PacedWriter;
  readonly #decoder = new SegmentDecoder();
  #waiting = 0;
  #turn: Promise<void> = Promise.resolve();
  #gone = false;

  /**
   * `chunkBytes`: the most bytes that one write holds.
   *
   * @internal
   */
  constructor(socket: Socket, daemon: FakeDaemon, chunkBytes: number) {
    this.#socket = socket;
    this.#daemon = daemon;
    this.#writer = new PacedWriter(socket, chunkBytes);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.once('close', () => (this.#gone = true));
    // The end comes as `close`.
    socket.on('error', () => {});
  }

  /** Whether the connection has ended, whoever ended it. */
  get isGone(): boolean {
    return this.#gone;
  }

  /** Answers the request that is carried out now. A reply above 512 KiB disappears without a word, as in charon. */
  respond(reply: ViciInput): void {
    this.send({ type: 'cmd-response', body: encodeMessage(reply) });
  }

  /** Sends an event as often as this client has registered for it. */
  event(name: string, body: ViciInput): void {
    const times = this.registered.filter((registered) => registered === name).length;
    if (times === 0) return;
    const packet: Packet = { type: 'event', name, body: encodeMessage(body) };
    for (let time = 0; time < times; time += 1) this.send(packet);
  }

  /** Sends any packet, also one that is out of order. */
  send(packet: Packet): void {
    const payload = encodePacket(packet);
    if (payload.length <= SEGMENT_BYTES_MAX) this.sendBytes(encodeSegment(payload));
  }

  /** Any bytes, also half a frame. Throws when the client leaves more than 64 MiB unread. */
  sendBytes(bytes: Uint8Array): void {
    if (!this.#gone) this.#writer.write(bytes);
  }

  /** Ends the connection at once, as when the process is killed. */
  hangUp(): void {
    this.#gone = true;
    this.#socket.destroy();
  }

  /** Sends what is queued, then closes. */
  end(): void {
    this.#writer.end();
  }

  #receive(chunk: Uint8Array): void {
    this.#daemon.received(chunk.length);
    try {
      // The segments may be views of memory that the socket uses again.
      for (const segment of this.#decoder.push(chunk)) this.#enqueue(segment.slice());
    } catch (error) {
      if (!(error instanceof ViciError)) throw error;
      this.hangUp();
    }
  }

  #enqueue(segment: Uint8Array): void {
    this.packetsReceived += 1;
    this.#waiting += 1;
    if (this.#waiting === REQUESTS_WAITING_MAX) this.#socket.pause();
    this.#turn = this.#inTurn(this.#turn, segment);
  }

  async #inTurn(before: Promise<void>, segment: Uint8Array): Promise<void> {
    await before;
    if (!this.#gone) await this.#handle(segment);
    this.#waiting -= 1;
    if (this.#waiting === REQUESTS_WAITING_MAX / 2) this.#socket.resume();
  }

  /** charon drops without an answer what it cannot read. */
  async #handle(segment: Uint8Array): Promise<void> {
    const packet = readable(segment);
    if (packet?.type === 'cmd-request') return this.#carryOut(packet);
    if (packet?.type === 'event-register') return this.#register(packet.name);
    return packet?.type === 'event-unregister' ? this.#unregister(packet.name) : undefined;
  }

  async #carryOut({ name, body }: PacketOf<'cmd-request'>): Promise<void> {
    this.#daemon.arrived({ type: 'request', command: name }, this);
    if (this.#gone) return;
    const handler = this.#daemon.begin(name);
    if (handler === undefined) return this.send({ type: 'cmd-unknown' });
    const request = decoded(body);
    if (request === undefined) return this.respond(refusal('parsing request failed'));
    const answer = await handler(request, this);
    return answer === NO_ANSWER ? undefined : this.respond(answer);
  }

  #register(event: string): void {
    this.#daemon.arrived({ type: 'registration', event }, this);
    const isKnown = this.#daemon.knowsEvent(event);
    if (isKnown) this.registered.push(event);
    this.send({ type: isKnown ? 'event-confirm' : 'event-unknown' });
  }

  /** Takes one registration back; charon answers `event-unknown` when there is none. */
  #unregister(event: string): void {
    const at = this.registered.indexOf(event);
    if (at >= 0) this.registered.splice(at, 1);
    this.send({ type: at >= 0 ? 'event-confirm' : 'event-unknown' });
  }
}

function readable(segment: Uint8Array): Packet | undefined {
  try {
    const packet = decodePacket(segment);
    return 'name' in packet && !PRINTABLE.test(packet.name) ? undefined : packet;
  } catch {
    return undefined;
  }
}

function decoded(body: Uint8Array): ViciSection | undefined {
  try {
    return decodeMessage(body);
  } catch {
    return undefined;
  }
}
