import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { decodeAgentFrame, encodeFrame } from '../../src/control/codec.ts';
import type { AgentFrame, CoordinatorFrame } from '../../src/control/frames.ts';
import { issueServerCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { publicKeyOf } from '../identity/mesh.ts';

/** One channel as the coordinator has it. */
export class FakeChannel {
  readonly frames: AgentFrame[] = [];
  closeCode: number | undefined;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;

  constructor(socket: WebSocket, stream: Duplex) {
    this.#socket = socket;
    this.#stream = stream;
    socket.on('message', (data) => this.frames.push(decodeAgentFrame(data as Buffer)));
    socket.on('close', (code) => (this.closeCode = code));
    socket.on('error', () => undefined);
  }

  send(frame: CoordinatorFrame): void {
    this.#socket.send(encodeFrame(frame));
  }

  /** Anything at all. */
  sendRaw(data: string | Uint8Array): void {
    this.#socket.send(data);
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason);
  }

  /** From now on no frame is taken in, let alone answered; only the end of the connection is still seen. */
  deafen(): void {
    this.#stream.removeAllListeners('data').resume();
  }

  hangUp(): void {
    this.#socket.terminate();
  }
}

/** A coordinator's TLS port on loopback: real TLS, real WebSockets, no rules. */
export class FakeCoordinator implements AsyncDisposable {
  readonly channels: FakeChannel[] = [];
  /** HTTP status that upgrades are refused with. */
  refuseWith: number | undefined;
  readonly #server: Server;
  readonly #webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

  private constructor(server: Server) {
    this.#server = server;
    server.on('upgrade', (request: IncomingMessage, socket, head: Buffer) => {
      socket.on('error', () => undefined);
      if (this.refuseWith !== undefined) {
        socket.end(`HTTP/1.1 ${this.refuseWith} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.channels.push(new FakeChannel(webSocket, socket));
      });
    });
  }

  /** `port` 0 takes a free one. */
  static async start(ca: MeshCa, port = 0): Promise<FakeCoordinator> {
    const key = await generatePrivateKey('ecdsa-p256');
    const cert = await issueServerCertificate(ca, {
      hosts: ['127.0.0.1'],
      publicKey: publicKeyOf(key),
      nowMs: Date.now(),
    });
    const server = createServer({
      key,
      cert: cert + ca.certificatePem,
      ca: ca.certificatePem,
      requestCert: true,
      minVersion: 'TLSv1.3',
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return new FakeCoordinator(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.channels) channel.hangUp();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
