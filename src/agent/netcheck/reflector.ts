import type { Clock } from '../../clock.ts';
import { messageOf, systemCodeOf } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { canonicalAddress, type Endpoint } from './endpoint.ts';
import { decodeStun, encodeResponse, responseBytesTo } from './stun.ts';
import { TokenBucket, type Rate } from '../../token-bucket.ts';
import type { UdpNetwork, UdpSocket } from './udp-network.ts';

/** For all askers together, as nothing is remembered of any: a hundred nodes check themselves in a second. */
const RATE: Rate = { perSecond: 500, burst: 1000 };

const FAMILIES = [4, 6] as const;
/** What an IPv6 socket fails with on a machine without IPv6. */
const NO_FAMILY = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT']);

/**
 * What a datagram from somewhere is answered with, or undefined. Never more bytes than it had: who forges the address of
 * a victim gains nothing. So a bare request of 20 bytes has no answer, and an asker pads.
 */
export function reflection(datagram: Uint8Array, from: Endpoint): Uint8Array | undefined {
  const address = canonicalAddress(from.address);
  // Port 0 is no port that anything can be sent to.
  if (address === undefined || from.port === 0) return undefined;
  if (datagram.byteLength < responseBytesTo(address)) return undefined;
  const message = decodeStun(datagram);
  return message.type === 'request' ? encodeResponse(message.transactionId, { ...from, address }) : undefined;
}

export interface ReflectorDeps {
  readonly network: UdpNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Tells whoever asks by UDP from which address and port the question came. Keeps nothing. */
export class Reflector implements AsyncDisposable {
  readonly #deps: ReflectorDeps;
  readonly #bucket: TokenBucket;
  readonly #sockets = new Map<number, readonly UdpSocket[]>();
  readonly #problems = new Map<number, string>();

  constructor(deps: ReflectorDeps) {
    this.#deps = deps;
    this.#bucket = new TokenBucket(RATE, deps.clock);
  }

  /** In words; empty when every port is served. */
  get problems(): readonly string[] {
    return [...this.#problems.values()];
  }

  /** Serves exactly these ports from now on. One that cannot be bound is a problem, and tried again by the next call. */
  async serve(ports: readonly number[]): Promise<void> {
    for (const port of [...this.#sockets.keys(), ...this.#problems.keys()]) {
      if (!ports.includes(port)) await this.#close(port);
    }
    for (const port of ports) if (!this.#sockets.has(port)) await this.#open(port);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.serve([]);
  }

  async #open(port: number): Promise<void> {
    const opened: UdpSocket[] = [];
    try {
      for (const family of FAMILIES) {
        const socket = await this.#openFamily(port, family);
        if (socket !== undefined) opened.push(socket);
      }
      this.#sockets.set(port, opened);
      this.#problems.delete(port);
    } catch (error) {
      await disposed(opened);
      this.#noteProblem(port, error);
    }
  }

  async #openFamily(port: number, family: 4 | 6): Promise<UdpSocket | undefined> {
    const own: { socket?: UdpSocket } = {};
    const onDatagram = (datagram: Uint8Array, from: Endpoint): void => {
      const answer = reflection(datagram, from);
      if (answer !== undefined && this.#bucket.take()) own.socket?.send(answer, from);
    };
    try {
      own.socket = await this.#deps.network.open({ family, port, onDatagram });
      return own.socket;
    } catch (error) {
      if (family === 6 && NO_FAMILY.has(systemCodeOf(error) ?? '')) return undefined;
      throw error;
    }
  }

  #noteProblem(port: number, error: unknown): void {
    const problem = `UDP port ${port} cannot be opened, so other nodes cannot learn their kind of NAT here: ${messageOf(error)}; see reflectorPorts in agent.yaml`;
    // Tried again every minute: said once.
    if (this.#problems.get(port) !== problem) this.#deps.logger.warn({ err: error }, 'reflector port not opened');
    this.#problems.set(port, problem);
  }

  async #close(port: number): Promise<void> {
    await disposed(this.#sockets.get(port) ?? []);
    this.#sockets.delete(port);
    this.#problems.delete(port);
  }
}

async function disposed(sockets: readonly UdpSocket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => socket[Symbol.asyncDispose]()));
}
