import { createSocket, type Socket } from 'node:dgram';
import { systemCodeOf } from '../errors.ts';
import { decodeProbe, encodeProbe, PROBE_PORT } from './probe-packet.ts';

export interface ProbeSocketDeps {
  /** Own mesh address. */
  readonly local: string;
  /** The peer's. */
  readonly remote: string;
  /** Random, 32 bits. */
  readonly sender: number;
  readonly onAnswer: (sequence: number) => void;
  /** The peer's kernel says that nobody listens there. */
  readonly onRefused: () => void;
}

/**
 * Sends probes to one address of a peer. The socket is connected, because only then does the kernel pass on that the peer
 * has refused a packet; and it is made anew after an error, as when the own address was not there yet.
 */
export class ProbeSocket implements Disposable {
  readonly #deps: ProbeSocketDeps;
  #socket: Socket | undefined;
  #isConnected = false;
  #isClosed = false;

  constructor(deps: ProbeSocketDeps) {
    this.#deps = deps;
  }

  /** A packet that cannot be sent is one that is lost. */
  send(sequence: number): void {
    if (this.#isClosed) return;
    const bytes = encodeProbe({ type: 'ask', sender: this.#deps.sender, sequence });
    const socket = (this.#socket ??= this.#open());
    const transmit = (): void => socket.send(bytes, (error) => this.#failed(socket, error));
    if (this.#isConnected) transmit();
    else socket.once('connect', transmit);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#drop();
  }

  #open(): Socket {
    const { local, remote, sender, onAnswer } = this.#deps;
    const socket = createSocket('udp4');
    socket.on('error', (error) => this.#failed(socket, error));
    socket.on('message', (bytes) => {
      const packet = decodeProbe(bytes);
      if (packet?.type === 'answer' && packet.sender === sender) onAnswer(packet.sequence);
    });
    socket.on('connect', () => (this.#isConnected = true));
    socket.bind(0, local, () => {
      if (this.#socket === socket) socket.connect(PROBE_PORT, remote);
    });
    return socket;
  }

  /** Node tells a refusal as an error of the next send, or of the socket, and the socket goes on working. */
  #failed(socket: Socket, error: Error | null): void {
    if (error === null || this.#socket !== socket) return;
    if (systemCodeOf(error) === 'ECONNREFUSED') return this.#deps.onRefused();
    this.#drop();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isConnected = false;
    if (socket === undefined) return;
    socket.removeAllListeners().on('error', () => undefined);
    socket.close();
  }
}
