import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Clock } from '../clock.ts';
import { CLOSE_CODES } from '../control/frames.ts';
import { FRAME_BYTES_MAX, FRAME_CHUNKS_MAX, FRAME_FRAGMENTS_MAX } from '../control/limits.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import { admit } from './channel-admission.ts';
import { ChannelConnection, type ChannelPeer } from './channel-connection.ts';
import type { ChannelHost } from './channel-host.ts';
import { CHANNEL_LIMITS, type ChannelLimits } from './channel-limits.ts';
import { remoteOf } from './channel-remote.ts';
import { EnrolEndpoint } from './enrol-endpoint.ts';
import { PacedLog } from './paced-log.ts';
import { TokenBucket } from '../token-bucket.ts';
import { Strangers } from './strangers.ts';
import { tlsOptions, type TlsIdentity } from './tls-options.ts';

/** RFC 6455 7.4.1: the server goes down. */
const GOING_AWAY = 1001;

export interface ChannelServerOptions extends TlsIdentity {
  /** Address to listen on. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
  readonly limits?: Partial<ChannelLimits>;
}

/** Disposal closes every channel and connection, and resolves when all are gone and no enrolment is under way. */
export interface ChannelServer extends AsyncDisposable {
  readonly port: number;
  /** Shows another certificate from the next handshake on; channels that are open stay. */
  useIdentity(identity: TlsIdentity): void;
}

/**
 * Opens the coordinator's TLS port: control channels of nodes at `/v1/channel`, enrolment at `POST /v1/enroll`,
 * renewal of certificates at `POST /v1/renew`.
 * Rejects with Node's own error when the address cannot be listened on or the key and certificates do not fit.
 */
export async function openChannelServer(options: ChannelServerOptions, host: ChannelHost): Promise<ChannelServer> {
  const port = new TlsPort(options, host);
  await port.listen(options.host, options.port);
  return port;
}

class TlsPort implements ChannelServer {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #host: ChannelHost;
  readonly #logger: Logger;
  readonly #refusals: PacedLog;
  readonly #limits: ChannelLimits;
  readonly #server: Server;
  /** The mesh's CA, when it is not the root of its chain. */
  readonly #issuer: X509Certificate | undefined;
  readonly #enrolments: EnrolEndpoint;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: FRAME_BYTES_MAX,
    // The connection does that: ws would drop who sends many pings, without a word.
    autoPong: false,
    maxFragments: FRAME_FRAGMENTS_MAX,
    maxBufferedChunks: FRAME_CHUNKS_MAX,
  });
  readonly #strangers: Strangers;
  readonly #channels = new Set<ChannelConnection>();
  readonly #openings = new Map<NodeName, TokenBucket>();
  /** One for each node, until its hello. */
  readonly #greeting = new Map<NodeName, ChannelConnection>();
  #port = 0;
  #closed: Promise<void> | undefined;

  constructor(options: ChannelServerOptions, host: ChannelHost) {
    this.#clock = options.clock;
    this.#host = host;
    this.#logger = options.logger;
    this.#refusals = new PacedLog(options.logger);
    this.#limits = { ...CHANNEL_LIMITS, ...options.limits };
    this.#issuer = options.chain === undefined ? undefined : new X509Certificate(options.ca);
    this.#enrolments = new EnrolEndpoint({
      host,
      logger: this.#logger,
      refusals: this.#refusals,
      limits: this.#limits,
      issuer: this.#issuer,
    });
    this.#server = createServer({
      ...tlsOptions(options),
      handshakeTimeout: this.#limits.handshakeTimeoutMs,
      headersTimeout: this.#limits.requestTimeoutMs,
      requestTimeout: this.#limits.requestTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, this.#limits.requestTimeoutMs),
    });
    this.#server.maxConnections = this.#limits.connectionsMax;
    this.#strangers = new Strangers(this.#server, this.#limits);
    this.#server.on('request', (request, response) => this.#enrolments.handle(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    // Anyone can connect and talk nonsense; Node has closed such a connection already.
    this.#server.on('tlsClientError', (error) => this.#logger.debug({ err: error }, 'TLS handshake failed'));
  }

  get port(): number {
    return this.#port;
  }

  useIdentity(identity: TlsIdentity): void {
    this.#server.setSecureContext(tlsOptions(identity));
  }

  async listen(host: string, port: number): Promise<void> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws or the refusal below has taken over, a reset by the peer would be an unhandled error.
    socket.on('error', () => socket.destroy());
    if (this.#closed !== undefined) return refuseUpgrade(socket, 503);
    if (request.url !== '/v1/channel') return refuseUpgrade(socket, 404);
    if (!(socket instanceof TLSSocket)) return refuseUpgrade(socket, 401);
    const remote = remoteOf(request);
    const admission = admit(socket, this.#host, this.#issuer);
    if (!admission.ok) {
      const { reason, node: revoked } = admission;
      this.#refusals.note(revoked ?? reason, { remote, reason, node: revoked }, 'control channel refused');
      this.#host.refused({ action: 'channel.open', remote, ...admission });
      return refuseUpgrade(socket, admission.status);
    }
    const { node, certificate } = admission;
    if (!this.#mayOpen(node)) {
      this.#refusals.note(node, { remote, node, reason: 'too many channels' }, 'control channel refused');
      return refuseUpgrade(socket, 429);
    }
    this.#strangers.known(socket);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
      this.#opened(webSocket, { node, remote, certificate }),
    );
  }

  /** Each opening is an event, and has the node told of everything again. */
  #mayOpen(node: NodeName): boolean {
    let openings = this.#openings.get(node);
    if (openings === undefined) {
      openings = new TokenBucket(this.#limits.openings, this.#clock);
      this.#openings.set(node, openings);
    }
    return openings.take();
  }

  #opened(webSocket: WebSocket, peer: ChannelPeer): void {
    const deps = { host: this.#host, logger: this.#logger, limits: this.#limits, clock: this.#clock };
    const channel = new ChannelConnection(webSocket, peer, deps);
    const greeting = this.#greeting.get(peer.node);
    // The host ends an older channel of the node, but it learns of one only with its hello.
    if (greeting?.isAwaitingHello === true)
      greeting.close(CLOSE_CODES.replaced, 'a newer channel of this node was opened');
    this.#greeting.set(peer.node, channel);
    this.#channels.add(channel);
    void channel.ended.then(() => this.#ended(channel));
  }

  #ended(channel: ChannelConnection): void {
    this.#channels.delete(channel);
    if (this.#greeting.get(channel.node) === channel) this.#greeting.delete(channel.node);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const channel of this.#channels) channel.close(GOING_AWAY, 'coordinator stops');
    const timer = setTimeout(() => {
      for (const channel of this.#channels) channel.terminate();
    }, this.#limits.closeTimeoutMs);
    await Promise.all([...this.#channels].map((channel) => channel.ended));
    await this.#enrolments.settled();
    this.#server.closeAllConnections();
    this.#strangers.end();
    await closed;
    clearTimeout(timer);
  }
}

function refuseUpgrade(socket: Duplex, status: 401 | 403 | 404 | 410 | 429 | 503): void {
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}
