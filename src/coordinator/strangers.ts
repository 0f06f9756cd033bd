import type { Server } from 'node:https';
import type { Socket } from 'node:net';

/** The two ends of a connection name it; a TLS socket has the same ones as the TCP socket below it. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

export interface StrangerLimits {
  /** Connections that have not shown yet whose they are; above it the oldest one ends. */
  readonly strangersMax: number;
  /** From TCP connect to the first byte. */
  readonly handshakeTimeoutMs: number;
}

/**
 * The connections of a TLS port that have not shown yet that they belong here. Everybody can open them, so there is room
 * for so many; it is the oldest one that makes way, for who belongs here needs a moment only.
 */
export class Strangers {
  readonly #limits: StrangerLimits;
  /** Oldest first. */
  readonly #sockets = new Map<string, Socket>();

  /** Of a server that does not listen yet. */
  constructor(server: Server, limits: StrangerLimits) {
    this.#limits = limits;
    this.#deferTls(server);
  }

  /** It belongs here, and makes way for nobody any more. */
  known(socket: Ends): void {
    this.#sockets.delete(nameOf(socket));
  }

  /** Ends them all; a server that closes would wait for them. */
  end(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }

  /**
   * TLS begins with a connection's first byte: who only connects costs a socket, and no work. Node has it begin at once,
   * by the one listener that its server comes with.
   */
  #deferTls(server: Server): void {
    const [beginTls] = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      this.#came(socket);
      socket.on('error', () => socket.destroy());
      socket.setTimeout(this.#limits.handshakeTimeoutMs, () => socket.destroy());
      socket.once('readable', () => {
        socket.setTimeout(0);
        beginTls?.call(server, socket);
      });
    });
  }

  #came(socket: Socket): void {
    const name = nameOf(socket);
    this.#sockets.set(name, socket);
    socket.once('close', () => {
      if (this.#sockets.get(name) === socket) this.#sockets.delete(name);
    });
    for (const [oldest, other] of this.#sockets) {
      if (this.#sockets.size <= this.#limits.strangersMax) return;
      this.#sockets.delete(oldest);
      other.destroy();
    }
  }
}

function nameOf({ remoteAddress = '', remotePort = 0 }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}
