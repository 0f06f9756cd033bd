import type { RawData, WebSocket } from 'ws';
import { decodeAgentFrame, encodeFrame } from '../control/codec.ts';
import { FrameError } from '../control/frame-error.ts';
import { CLOSE_CODES, PROTOCOL_VERSION, type AgentFrame, type CoordinatorFrame } from '../control/frames.ts';
import { FRAME_BYTES_MAX, HELLO_BYTES_MAX } from '../control/limits.ts';
import { startTimer, type Clock } from '../clock.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import type { ClientCertificate } from './channel-admission.ts';
import { TokenBucket } from '../token-bucket.ts';
import type { ChannelHost, NodeChannel } from './channel-host.ts';
import type { ChannelLimits } from './channel-limits.ts';

/** RFC 6455 7.4.1: the coordinator could not handle what it was sent. */
const INTERNAL_ERROR = 1011;

export interface ChannelConnectionDeps {
  readonly host: Pick<ChannelHost, 'opened' | 'received' | 'closed'>;
  readonly logger: Logger;
  readonly limits: ChannelLimits;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** Who is at the other end, as the TLS port found out. */
export interface ChannelPeer {
  readonly node: NodeName;
  readonly remote: string;
  readonly certificate: ClientCertificate;
}

/** A frame counts as one more for each so many bytes of it. */
const INTAKE_BYTES = 2048;

/**
 * `new`: the hello is awaited; `open`: the host knows the channel. Then nothing is sent or handed over any more:
 * `closing` if the host has to be told of the end, `refused` if it never heard of the channel.
 */
type Phase = 'new' | 'open' | 'closing' | 'refused';

/** One node's WebSocket, from the upgrade to its end. Tells the host of it from a good hello on, and once when it ends. */
export class ChannelConnection implements NodeChannel {
  readonly node: NodeName;
  readonly key: string;
  readonly remote: string;
  /** Resolves after the host was told of the end. */
  readonly ended: Promise<void>;
  readonly #socket: WebSocket;
  readonly #deps: ChannelConnectionDeps;
  readonly #helloTimer: NodeJS.Timeout;
  readonly #pingTimer: NodeJS.Timeout;
  #closeTimer: NodeJS.Timeout | undefined;
  readonly #stopExpiry: () => void;
  readonly #intake: TokenBucket;
  #resumeTimer: NodeJS.Timeout | undefined;
  #phase: Phase = 'new';
  #missedPings = 0;

  constructor(socket: WebSocket, peer: ChannelPeer, deps: ChannelConnectionDeps) {
    this.node = peer.node;
    this.key = peer.certificate.key;
    this.remote = peer.remote;
    this.#socket = socket;
    this.#deps = { ...deps, logger: deps.logger.child({ node: peer.node, remote: peer.remote }) };
    this.#intake = new TokenBucket(deps.limits.intake, deps.clock);
    this.#helloTimer = setTimeout(() => this.#refuse('no hello in time'), deps.limits.helloTimeoutMs);
    this.#pingTimer = setInterval(() => this.#ping(), deps.limits.pingIntervalMs);
    // A clock that is set from now on ends no channel before its time, and keeps none beyond it.
    this.#stopExpiry = startTimer(peer.certificate.validForMs, () => this.#expire());
    socket
      .on('message', (data, isBinary) => this.#message(data, isBinary))
      .on('pong', () => {
        this.#missedPings = 0;
        this.#takeIn(0);
      })
      .on('ping', (data) => this.#answerPing(data))
      // ws closes the socket itself after an error, a frame above its limit for instance.
      .on('error', (error) => this.#deps.logger.warn({ err: error }, 'control channel broke'))
      .on('close', () => this.#end());
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  /** It is known whose channel this is, and it has not said hello yet. */
  get isAwaitingHello(): boolean {
    return this.#phase === 'new';
  }

  send(frame: CoordinatorFrame): void {
    if (this.#phase !== 'open' || this.#endIfBehind()) return;
    try {
      this.#socket.send(encodeFrame(frame));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      // Closing would not help: the node would come back, and be sent the same.
      this.#deps.logger.error({ err: error, code: error.code }, 'frame cannot be sent');
    }
  }

  /** A peer that does not close its end within `closeTimeoutMs` is dropped. */
  close(code: number, reason: string): void {
    this.#leave();
    this.#socket.close(code, reason);
    this.#closeTimer ??= setTimeout(() => this.terminate(), this.#deps.limits.closeTimeoutMs);
  }

  /** Drops the connection at once. */
  terminate(): void {
    this.#leave();
    this.#socket.terminate();
  }

  #message(data: RawData, isBinary: boolean): void {
    this.#takeIn(Buffer.isBuffer(data) ? data.byteLength : 0);
    if (this.#phase === 'closing' || this.#phase === 'refused') return;
    if (!isBinary || !Buffer.isBuffer(data)) return this.#refuse('not a binary frame');
    try {
      this.#frame(decodeAgentFrame(data, this.#phase === 'new' ? HELLO_BYTES_MAX : FRAME_BYTES_MAX));
    } catch (error) {
      if (error instanceof FrameError) return this.#refuse(error.message);
      this.#deps.logger.error({ err: error }, 'frame could not be handled');
      this.close(INTERNAL_ERROR, 'internal error');
    }
  }

  #frame(frame: AgentFrame): void {
    if (this.#phase === 'open') return this.#deps.host.received(this, frame);
    if (frame.type !== 'hello') return this.#refuse('the first frame is not a hello');
    if (frame.protocol !== PROTOCOL_VERSION) {
      this.#deps.logger.warn({ protocol: frame.protocol }, 'node speaks another protocol version');
      return this.close(CLOSE_CODES.protocol, `protocol ${PROTOCOL_VERSION} is spoken here`);
    }
    clearTimeout(this.#helloTimer);
    this.#phase = 'open';
    this.#deps.host.opened(this, frame);
  }

  /** At most one line in the log for each connection: from here on nothing of it is read. */
  #refuse(reason: string): void {
    this.#deps.logger.warn({ reason }, 'control channel refused');
    // A close frame has room for 123 bytes of text, and the reason may quote the peer.
    this.close(CLOSE_CODES.badFrame, 'frame refused');
  }

  #expire(): void {
    this.#deps.logger.warn('node has not renewed its certificate');
    this.close(CLOSE_CODES.certificateExpired, 'the certificate of this channel has expired');
  }

  /**
   * A node that sends more than its share is read more slowly: TCP makes it wait, and nothing of it is lost. One that is
   * far ahead all the same had its frames on the way already, very many small ones, and is no agent of ours.
   */
  #takeIn(bytes: number): void {
    const waitMs = this.#intake.spend(1 + bytes / INTAKE_BYTES);
    if (waitMs === 0) return;
    this.#socket.pause();
    if (waitMs <= this.#deps.limits.intakeDebtMsMax) {
      clearTimeout(this.#resumeTimer);
      this.#resumeTimer = setTimeout(() => this.#socket.resume(), waitMs);
      return;
    }
    if (this.#phase === 'closing' || this.#phase === 'refused') return;
    this.#deps.logger.warn('node sends too much');
    this.close(CLOSE_CODES.tooMuch, 'this node sends too much');
  }

  /** A peer that sends pings and reads nothing would make the answers pile up. */
  #answerPing(data: Buffer): void {
    this.#takeIn(0);
    const isOver = this.#phase === 'closing' || this.#phase === 'refused';
    if (!isOver && !this.#endIfBehind()) this.#socket.pong(data);
  }

  #ping(): void {
    if (this.#missedPings >= this.#deps.limits.missedPingsMax) {
      this.#deps.logger.warn('node does not answer');
      return this.terminate();
    }
    this.#missedPings += 1;
    this.#socket.ping();
  }

  #endIfBehind(): boolean {
    if (this.#socket.bufferedAmount <= this.#deps.limits.unsentBytesMax) return false;
    this.#deps.logger.warn({ unsentBytes: this.#socket.bufferedAmount }, 'node does not read');
    this.terminate();
    return true;
  }

  #end(): void {
    clearTimeout(this.#helloTimer);
    clearTimeout(this.#resumeTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#closeTimer);
    this.#stopExpiry();
    this.#leave();
    if (this.#phase === 'closing') this.#deps.host.closed(this);
  }

  #leave(): void {
    if (this.#phase === 'new') this.#phase = 'refused';
    if (this.#phase === 'open') this.#phase = 'closing';
  }
}
