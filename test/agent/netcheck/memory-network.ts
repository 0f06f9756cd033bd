import type { pause } from '../../../src/clock.ts';
import type { Endpoint } from '../../../src/agent/netcheck/endpoint.ts';
import type { UdpNetwork, UdpOptions, UdpSocket } from '../../../src/agent/netcheck/udp-network.ts';

/** What a service says to a datagram; undefined is silence. */
export type Service = (datagram: Uint8Array, from: Endpoint) => Uint8Array | undefined;

/** A network in memory: one host with its sockets, a NAT in front of it, and services elsewhere. */
export class MemoryNetwork implements UdpNetwork {
  /** By `address:port`. */
  readonly services = new Map<string, Service>();
  /** The names that can be resolved, besides addresses. */
  readonly names = new Map<string, string>();
  readonly sent: Endpoint[] = [];
  readonly sockets = new Map<number, UdpOptions>();
  /** How those outside see a packet. */
  nat: (local: Endpoint, to: Endpoint) => Endpoint = (local) => local;
  /** Packets that get lost on the way out, by their number from 0. */
  isLost: (packet: number) => boolean = () => false;
  /** Larger packets are cut into fragments. */
  mtu = 1500;
  openFailure: ((options: UdpOptions) => Error | undefined) | undefined;
  #nextPort = 40_000;

  open(options: UdpOptions): Promise<UdpSocket> {
    const failure = this.openFailure?.(options);
    if (failure !== undefined) return Promise.reject(failure);
    const port = options.port === 0 ? this.#nextPort++ : options.port;
    const key = options.family === 4 ? port : -port;
    this.sockets.set(key, options);
    return Promise.resolve({
      port,
      send: (datagram, to) => this.#send({ address: addressOf(options.family), port }, to, datagram),
      [Symbol.asyncDispose]: () => {
        this.sockets.delete(key);
        return Promise.resolve();
      },
    });
  }

  localAddressTowards(address: string): Promise<string | undefined> {
    if (address === UNROUTED) return Promise.resolve(undefined);
    return Promise.resolve(addressOf(address.includes(':') ? 6 : 4));
  }

  resolve(host: string): Promise<string | undefined> {
    return Promise.resolve(/^[\d.]+$|:/.test(host) ? host : this.names.get(host));
  }

  /** A datagram from outside to a socket of the host. */
  deliver(to: number, datagram: Uint8Array, from: Endpoint): void {
    this.sockets.get(to)?.onDatagram(datagram, from);
  }

  #send(local: Endpoint, to: Endpoint, datagram: Uint8Array): boolean {
    const packet = this.sent.push(to) - 1;
    const isWhole = datagram.byteLength + 28 <= this.mtu;
    if (this.isLost(packet)) return isWhole;
    const answer = this.services.get(`${to.address}:${to.port}`)?.(datagram, this.nat(local, to));
    if (answer !== undefined) queueMicrotask(() => this.deliver(local.port, answer, to));
    return isWhole;
  }
}

/** An address that no route leads to. */
export const UNROUTED = '198.51.100.99';

function addressOf(family: 4 | 6): string {
  return family === 4 ? '192.168.1.2' : '2001:db8::2';
}

/** Time passes at once, after whatever is under way; what is waited for is kept. */
export function instantPause(waits: number[] = []): typeof pause {
  return (ms, signal) => {
    waits.push(ms);
    return signal.aborted ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve));
  };
}

/** Answers as charon does; on port 4500 behind the marker. */
export const ike: Service = (datagram) => {
  const at = datagram.byteLength === 32 ? 4 : 0;
  const answer = new Uint8Array(at + 36);
  answer.set(datagram.subarray(0, at + 8));
  answer.set([41, 0x20, 34, 0x20, 0, 0, 0, 0, 0, 0, 0, 36, 0, 0, 0, 8, 0, 0, 0, 5], at + 16);
  return answer;
};
