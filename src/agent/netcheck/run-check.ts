import { pause as realPause, type Clock } from '../../clock.ts';
import { Asker, type Question } from './asker.ts';
import { isIpv6, type Endpoint } from './endpoint.ts';
import { ikeQuestion } from './ike-question.ts';
import { natKindOf } from './nat-kind.ts';
import type { NetCheck, NetCheckTarget } from './net-check.ts';
import { decodeStun, encodeRequest, TRANSACTION_ID_BYTES } from './stun.ts';
import type { Target } from './targets.ts';
import type { UdpNetwork, UdpSocket } from './udp-network.ts';

/** UDP payloads whose way is tried, largest first: Ethernet, PPPoE, a tunnel in between, and IPv6's least. */
const PAYLOADS = [1472, 1452, 1412, 1352, 1252];
/** What is asked for an endpoint: more than any answer, or the reflector would not give one. */
const SMALL_REQUEST_BYTES = 64;
const RESOLVE_MS = 3000;

export interface CheckDeps {
  readonly clock: Clock;
  readonly network: UdpNetwork;
  /** Unpredictable, so that nobody off the path can answer. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Where reflectors listen, at this node's mediators and hubs too. */
  readonly reflectorPorts: readonly number[];
  readonly pause?: typeof realPause;
}

/**
 * Asks every target, all at once, from one socket per address family. Takes up to 6 s when nothing answers; when
 * `signal` aborts it ends soon, with what it knows. Rejects only when no socket can be opened.
 */
export async function runNetCheck(deps: CheckDeps, targets: readonly Target[], signal: AbortSignal): Promise<NetCheck> {
  const atMs = deps.clock.nowMs();
  await using check = new Check(deps, signal);
  const results = await Promise.all(targets.map((target) => check.target(target)));
  const sightings = results.flatMap(({ local, reflexive }) =>
    reflexive.flatMap(({ endpoint }) => (local === null || endpoint === null ? [] : [{ local, mapped: endpoint }])),
  );
  const heard = results.some(({ ike500, ike4500 }) => ike500 || ike4500);
  return { atMs, natKind: natKindOf(sightings, heard), targets: results };
}

/** A socket and the address that it sends from, on the way to one target. */
interface Way {
  readonly socket: UdpSocket;
  readonly local: Endpoint;
  readonly address: string;
}

class Check implements AsyncDisposable {
  readonly #deps: CheckDeps;
  readonly #signal: AbortSignal;
  readonly #pause: typeof realPause;
  readonly #asker: Asker;
  readonly #sockets = new Map<4 | 6, Promise<UdpSocket>>();

  constructor(deps: CheckDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#pause = deps.pause ?? realPause;
    this.#asker = new Asker({ pause: this.#pause });
  }

  async target({ node, host }: Target): Promise<NetCheckTarget> {
    const address = await this.#resolve(host);
    const way = address === undefined ? undefined : await this.#wayTo(address);
    if (way === undefined) {
      return {
        node,
        host,
        address: address ?? null,
        local: null,
        reflexive: [],
        ike500: false,
        ike4500: false,
        mtu: null,
      };
    }
    const [{ reflexive, mtu }, ike500, ike4500] = await Promise.all([
      this.#reflected(way),
      this.#ike(way, 500),
      this.#ike(way, 4500),
    ]);
    return { node, host, address: way.address, local: way.local, reflexive, ike500, ike4500, mtu };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await Promise.allSettled(this.#sockets.values());
    await Promise.all(
      opened.map(async (socket) => socket.status === 'fulfilled' && (await socket.value[Symbol.asyncDispose]())),
    );
  }

  /** The system's resolver cannot be interrupted, but need not be waited for. */
  async #resolve(host: string): Promise<string | undefined> {
    const done = new AbortController();
    const late = this.#pause(RESOLVE_MS, AbortSignal.any([this.#signal, done.signal])).then(() => undefined);
    try {
      return await Promise.race([this.#deps.network.resolve(host), late]);
    } finally {
      done.abort();
    }
  }

  async #wayTo(address: string): Promise<Way | undefined> {
    const own = await this.#deps.network.localAddressTowards(address);
    if (own === undefined) return undefined;
    const socket = await this.#socketOf(isIpv6(address) ? 6 : 4);
    return { socket, local: { address: own, port: socket.port }, address };
  }

  /** One for all targets of a family: how each of them sees the same socket is what tells the kind of NAT. */
  #socketOf(family: 4 | 6): Promise<UdpSocket> {
    const socket =
      this.#sockets.get(family) ?? this.#deps.network.open({ family, port: 0, onDatagram: this.#asker.received });
    this.#sockets.set(family, socket);
    return socket;
  }

  async #reflected(way: Way): Promise<Pick<NetCheckTarget, 'reflexive' | 'mtu'>> {
    const ask = async (reflectorPort: number): Promise<NetCheckTarget['reflexive'][number]> => {
      const endpoint = (await this.#stun(way, { port: reflectorPort, bytes: SMALL_REQUEST_BYTES })) ?? null;
      return { reflectorPort, endpoint };
    };
    const reflexive = await Promise.all(this.#deps.reflectorPorts.map(ask));
    const answering = reflexive.find(({ endpoint }) => endpoint !== null);
    return { reflexive, mtu: answering === undefined ? null : await this.#mtu(way, answering.reflectorPort) };
  }

  async #mtu(way: Way, port: number): Promise<number | null> {
    const headers = isIpv6(way.address) ? 48 : 28;
    const packets = await Promise.all(
      PAYLOADS.map(async (bytes) => ((await this.#stun(way, { port, bytes, whole: true })) ? bytes + headers : null)),
    );
    return packets.find((bytes) => bytes !== null) ?? null;
  }

  #stun(
    way: Way,
    { port, bytes, whole }: { port: number; bytes: number; whole?: true },
  ): Promise<Endpoint | undefined> {
    const id = this.#deps.randomBytes(TRANSACTION_ID_BYTES);
    return this.#ask(way, port, {
      datagram: encodeRequest(id, bytes),
      read: (datagram) => {
        const message = decodeStun(datagram);
        return message.type === 'response' && Buffer.compare(message.transactionId, id) === 0
          ? message.mapped
          : undefined;
      },
      ...(whole && { whole }),
    });
  }

  async #ike({ socket, address }: Way, port: number): Promise<boolean> {
    const question = ikeQuestion({ address, port }, this.#deps.randomBytes);
    return (await this.#asker.ask(socket, question, this.#signal)) === true;
  }

  #ask<T>({ socket, address }: Way, port: number, question: Omit<Question<T>, 'to'>): Promise<T | undefined> {
    return this.#asker.ask(socket, { ...question, to: { address, port } }, this.#signal);
  }
}
