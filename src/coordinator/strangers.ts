import type { Socket } from 'node:net';

/** The two ends of a connection name it; a TLS socket has the same ones as the TCP socket below it. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

/**
 * The connections that have not shown yet that they are a node's. Everybody can open them, so there is room for so many;
 * it is the oldest one that makes way, for a node needs a moment only.
 */
export class Strangers {
  readonly #max: number;
  /** Oldest first. */
  readonly #sockets = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  came(socket: Socket): void {
    const name = nameOf(socket);
    this.#sockets.set(name, socket);
    socket.once('close', () => {
      if (this.#sockets.get(name) === socket) this.#sockets.delete(name);
    });
    for (const [oldest, other] of this.#sockets) {
      if (this.#sockets.size <= this.#max) return;
      this.#sockets.delete(oldest);
      other.destroy();
    }
  }

  /** It is a node's. */
  known(socket: Ends): void {
    this.#sockets.delete(nameOf(socket));
  }
}

function nameOf({ remoteAddress = '', remotePort = 0 }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}
