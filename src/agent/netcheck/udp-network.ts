import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { fragmentsMade } from './fragments.ts';
import { canonicalAddress, isIpv6, type Endpoint } from './endpoint.ts';

export type DatagramListener = (datagram: Uint8Array, from: Endpoint) => void;

/** A UDP socket of one family on all addresses of the machine. */
export interface UdpSocket extends AsyncDisposable {
  readonly port: number;
  /**
   * Sends, or does not (the socket is closed, there is no route): who waits for an answer sees no difference. False when
   * the kernel is known to have cut the datagram into fragments, because its packet is larger than what the way carries.
   * Throws when the port is 0.
   */
  send(datagram: Uint8Array, to: Endpoint): boolean;
}

export interface UdpOptions {
  readonly family: 4 | 6;
  /** 0: any that is free. */
  readonly port: number;
  /** Must not throw. */
  readonly onDatagram: DatagramListener;
}

/** What the checks need of the machine; tests have a network of their own. */
export interface UdpNetwork {
  /** Rejects when the port is taken or the family is not there. */
  open(options: UdpOptions): Promise<UdpSocket>;
  /** The address that the kernel would send from; undefined without a route. Sends nothing. */
  localAddressTowards(address: string): Promise<string | undefined>;
  /** The first address of a host name, or the address itself; undefined when there is none. */
  resolve(host: string): Promise<string | undefined>;
}

/** Fragments are counted only for what may be too large for a way: the count costs two small reads. */
const COUNTED_FROM_BYTES = 1200;

/** The machine's own network. */
export const systemNetwork: UdpNetwork = {
  open: async ({ family, port, onDatagram }) => {
    const socket = socketOf(family);
    socket.on('message', (datagram, { address, port }) => onDatagram(datagram, { address, port }));
    await bound(socket, port);
    // An ICMP answer to something that was sent may surface here; who waits sees the silence.
    socket.on('error', () => undefined);
    let closing: Promise<void> | undefined;
    return {
      port: socket.address().port,
      send: (datagram, to) => closing !== undefined || send(socket, datagram, to),
      [Symbol.asyncDispose]: () => (closing ??= closed(socket)),
    };
  },
  localAddressTowards: async (address) => {
    const socket = socketOf(isIpv6(address) ? 6 : 4);
    try {
      const connected = once(socket, 'connect');
      // Port 9 is discard, but nothing is sent: connecting a UDP socket only asks the kernel for the route.
      socket.connect(9, address);
      await connected;
      return canonicalAddress(socket.address().address);
    } catch {
      return undefined;
    } finally {
      await closed(socket);
    }
  },
  resolve: async (host) => {
    const found = await lookup(host).catch(() => undefined);
    return found && canonicalAddress(found.address);
  },
};

/** Takes addresses only, and at once: by default the send happens a turn later, after a look-up. */
function socketOf(family: 4 | 6): Socket {
  return createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ...(family === 6 && { ipv6Only: true }),
    lookup: (address, _options, callback) => callback(null, address, family),
  });
}

async function bound(socket: Socket, port: number): Promise<void> {
  try {
    const listening = once(socket, 'listening');
    socket.bind({ port });
    await listening;
  } catch (error) {
    await closed(socket);
    throw error;
  }
}

function send(socket: Socket, datagram: Uint8Array, { address, port }: Endpoint): boolean {
  const counts = datagram.byteLength >= COUNTED_FROM_BYTES;
  const before = counts ? fragmentsMade() : 0;
  socket.send(datagram, port, address, () => undefined);
  return !counts || fragmentsMade() === before;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(() => resolve());
  });
}
