import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { messageOf } from '../errors.ts';
import { decodeProbe, encodeProbe, PROBE_PORT } from './probe-packet.ts';

export interface ProbeResponderDeps {
  /** A peer has asked from one of its addresses at one of the own ones: packets of its come through that path. */
  readonly onAsked: (to: string, from: string) => void;
  /** A packet to one of the own addresses, from a peer's, says that the peer has given up its end of this IKE SA. */
  readonly onLost: (to: string, from: string, initiatorSpi: string) => void;
}

/** Answers the probes of this node's peers on its mesh addresses. What comes from anybody else is dropped. */
export class ProbeResponder implements AsyncDisposable {
  readonly #sockets = new Map<string, Socket>();
  readonly #answered = new Map<string, number>();
  readonly #deps: ProbeResponderDeps;
  #peers: ReadonlySet<string> = new Set();
  /** Why an address is not listened on, by address. */
  readonly #problems = new Map<string, string>();

  constructor(deps: ProbeResponderDeps) {
    this.#deps = deps;
  }

  /** Why it does not answer everywhere; null when it does. */
  get problem(): string | null {
    return [...this.#problems.values()][0] ?? null;
  }

  /** Listens on these addresses from now on, and answers these peers. An address that is not there yet is tried again. */
  serve(addresses: readonly string[], peers: ReadonlySet<string>): void {
    this.#peers = peers;
    for (const peer of this.#answered.keys()) if (!peers.has(peer)) this.#answered.delete(peer);
    for (const [address, socket] of this.#sockets) if (!addresses.includes(address)) this.#close(address, socket);
    for (const address of this.#problems.keys()) if (!addresses.includes(address)) this.#problems.delete(address);
    for (const address of addresses) if (!this.#sockets.has(address)) this.#open(address);
  }

  /** Packets that came from this address and were answered. */
  answersTo(peer: string): number {
    return this.#answered.get(peer) ?? 0;
  }

  /** Tells a peer from one of the own addresses. Nobody confirms it: the peer would find out by itself a little later. */
  tellLost(from: string, to: string, initiatorSpi: string): void {
    const bytes = encodeProbe({ type: 'lost', initiatorSpi });
    this.#sockets.get(from)?.send(bytes, PROBE_PORT, to, () => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [address, socket] of this.#sockets) this.#close(address, socket);
  }

  #open(address: string): void {
    const socket = createSocket('udp4');
    this.#sockets.set(address, socket);
    socket.on('message', (bytes, from) => this.#answer({ socket, address }, bytes, from));
    socket.on('listening', () => this.#problems.delete(address));
    socket.on('error', (error) => {
      if (this.#sockets.get(address) !== socket) return;
      this.#problems.set(address, `probes on ${address}:${PROBE_PORT} cannot be answered: ${messageOf(error)}`);
      this.#close(address, socket);
    });
    socket.bind(PROBE_PORT, address);
  }

  #close(address: string, socket: Socket): void {
    this.#sockets.delete(address);
    socket.removeAllListeners('message').close();
  }

  #answer({ socket, address }: { socket: Socket; address: string }, bytes: Uint8Array, from: RemoteInfo): void {
    if (!this.#peers.has(from.address)) return undefined;
    const packet = decodeProbe(bytes);
    if (packet?.type === 'lost') return this.#deps.onLost(address, from.address, packet.initiatorSpi);
    if (packet?.type !== 'ask') return undefined;
    this.#deps.onAsked(address, from.address);
    this.#answered.set(from.address, this.answersTo(from.address) + 1);
    // A path that is gone refuses, which the peer's own probes will show.
    return socket.send(encodeProbe({ ...packet, type: 'answer' }), from.port, from.address, () => undefined);
  }
}
