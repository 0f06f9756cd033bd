import { connect, type Socket } from 'node:net';
import type { ViciAddress } from '../../../src/vici/dial.ts';
import { decodeMessage, encodeMessage, type ViciInput, type ViciSection } from '../../../src/vici/message.ts';
import { decodePacket, encodePacket, type Packet } from '../../../src/vici/packet.ts';
import { encodeSegment, SegmentDecoder } from '../../../src/vici/segment.ts';

/** A socket to a charon and the packets that come over it: for what a well-behaved client never does. */
export class RawClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #decoder = new SegmentDecoder();
  readonly #packets: Packet[] = [];
  #isClosed = false;
  #wake = (): void => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      for (const segment of this.#decoder.push(chunk)) this.#packets.push(decodePacket(segment.slice()));
      this.#wake();
    });
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static async connect(address: ViciAddress): Promise<RawClient> {
    const socket = connect('socketPath' in address ? { path: address.socketPath } : { ...address, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  request(name: string, body: ViciInput = {}): void {
    this.send({ type: 'cmd-request', name, body: encodeMessage(body) });
  }

  send(packet: Packet): void {
    this.write(encodeSegment(encodePacket(packet)));
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#socket.pause();
  }

  /** Writes pieces that arrive one by one. */
  async writeInPieces(bytes: Uint8Array, length: number): Promise<void> {
    for (let from = 0; from < bytes.length; from += length) {
      await new Promise<void>((resolve) => {
        this.#socket.write(bytes.subarray(from, from + length), () => setImmediate(resolve));
      });
    }
  }

  /** The next packet. Rejects when charon hangs up. */
  async next(): Promise<Packet> {
    for (;;) {
      const packet = this.#packets.shift();
      if (packet !== undefined) return packet;
      if (this.#isClosed) throw new Error('charon hung up');
      await this.#arrival();
    }
  }

  /** The next packet's type, and the name of an event. */
  async nextKind(): Promise<string> {
    const packet = await this.next();
    return packet.type === 'event' ? `event ${packet.name}` : packet.type;
  }

  /** The body of the next packet, which has to be a response. */
  async nextReply(): Promise<ViciSection> {
    const packet = await this.next();
    if (packet.type !== 'cmd-response') throw new Error(`${packet.type} instead of a response`);
    return decodeMessage(packet.body);
  }

  /** Resolves when charon has hung up. */
  async hungUp(): Promise<void> {
    while (!this.#isClosed) await this.#arrival();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.hungUp();
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
