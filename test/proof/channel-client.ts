import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import type { NodeIdentity } from '../../src/agent/stored.ts';

/** A channel of a node, without any of an agent's manners. */
export function dial({ coordinatorUrl, ca, channel }: NodeIdentity): WebSocket {
  const url = `${coordinatorUrl.replace(/^https:/, 'wss:')}/v1/channel`;
  return new WebSocket(url, { ca, key: channel.key, cert: channel.certificate, perMessageDeflate: false });
}

/** The TLS connection below a channel. */
export function streamOf(socket: WebSocket): TLSSocket {
  const { _socket: stream } = socket as unknown as { readonly _socket: TLSSocket };
  return stream;
}

/** A stranger's connections to the coordinator's port, which end by themselves when it ends them. */
export class StrangersClient {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();

  constructor(port: number) {
    this.#port = port;
  }

  tcp(): Socket {
    return this.#kept(connectTcp(this.#port, '127.0.0.1'));
  }

  tls(): TLSSocket {
    return this.#kept(connectTls({ host: '127.0.0.1', port: this.#port, rejectUnauthorized: false }));
  }

  /** Sends an HTTP request on a connection of its own and resolves to the status of the answer; 0 without one. */
  async request(text: string): Promise<number> {
    const socket = this.tls();
    socket.write(text);
    let answer = '';
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) answer += chunk.toString('latin1');
    } catch {
      // A connection that was reset; there may be an answer all the same.
    }
    return Number(/^HTTP\/1.1 (\d{3})/.exec(answer)?.[1] ?? 0);
  }

  /** How many have not been ended by the other side. */
  get open(): number {
    return this.#sockets.size;
  }

  closeAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #kept<T extends Socket>(socket: T): T {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    return socket;
  }
}
