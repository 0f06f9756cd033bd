import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { decodeProbe, encodeProbe, PROBE_PORT, type ProbePacket } from '../../src/agent/probe-packet.ts';

interface Datagram {
  readonly bytes: Buffer;
  readonly from: { readonly address: string; readonly port: number };
}

/**
 * One of the loopback addresses that are this process's own: test files run side by side, and whole test runs do, and all
 * want the same port.
 */
export function loopbackAddress(host: number): string {
  const own = process.pid % 2 ** 14;
  return `127.${64 + (own >> 8)}.${own & 255}.${host}`;
}

/** A UDP socket of the test's own, at the port of the probes. */
export class UdpPeer implements AsyncDisposable {
  readonly received: Datagram[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => this.received.push({ bytes, from }));
  }

  /** Port 0: any that is free. */
  static async open(address: string, port = PROBE_PORT): Promise<UdpPeer> {
    const socket = createSocket('udp4');
    const peer = new UdpPeer(socket);
    socket.bind(port, address);
    await once(socket, 'listening');
    return peer;
  }

  /** What has come, as far as it is probes. */
  get probes(): readonly ProbePacket[] {
    return this.received.map(({ bytes }) => decodeProbe(bytes)).filter((packet) => packet !== undefined);
  }

  /** Answers each asking packet from now on that this takes. */
  answerWhen(takes: (sequence: number) => boolean = () => true): void {
    this.#socket.on('message', (bytes, from) => {
      const packet = decodeProbe(bytes);
      if (packet?.type !== 'ask' || !takes(packet.sequence)) return;
      this.#socket.send(encodeProbe({ ...packet, type: 'answer' }), from.port, from.address);
    });
  }

  send(packet: ProbePacket | Uint8Array, to: { readonly address: string; readonly port?: number }): void {
    const bytes = packet instanceof Uint8Array ? packet : encodeProbe(packet);
    this.#socket.send(bytes, to.port ?? PROBE_PORT, to.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }
}

/** UDP sockets that this process has open. */
export function openSockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'UDPWrap').length;
}

/** A peer that is closed with the test. */
export async function peerAt(address: string, port?: number): Promise<UdpPeer> {
  const peer = await UdpPeer.open(address, port);
  onTestFinished(() => peer[Symbol.asyncDispose]());
  return peer;
}
