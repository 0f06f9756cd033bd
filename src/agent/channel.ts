import { WebSocket, type RawData } from 'ws';
import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { pause, type Clock } from '../clock.ts';
import { decodeCoordinatorFrame, encodeFrame } from '../control/codec.ts';
import { FrameError } from '../control/frame-error.ts';
import { CLOSE_CODES, type AgentFrame, type CoordinatorFrame } from '../control/frames.ts';
import { FRAME_BYTES_MAX, FRAME_CHUNKS_MAX, FRAME_FRAGMENTS_MAX } from '../control/limits.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ChannelStatus } from './api.ts';
import type { NodeIdentity } from './stored.ts';

/** With the time that a handshake may take, a node is back within a minute of its coordinator. */
const BACKOFF: BackoffPolicy = { baseMs: 500, maxMs: 50_000 };
const PING_INTERVAL_MS = 15_000;
/** Silence after which the channel is taken for dead: two pings were not answered. */
const SILENCE_MAX_MS = 2 * PING_INTERVAL_MS + 5_000;
/** How often that is looked at. */
const LOOK_INTERVAL_MS = 5_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Bytes that may wait for a slow network; beyond that the channel is opened anew and starts with a full report. */
const UNSENT_BYTES_MAX = 4 * FRAME_BYTES_MAX;
/** A coordinator that does not answer must not hold up the agent's end. */
const CLOSE_TIMEOUT_MS = 1000;
/** A channel that held this long begins its back-off anew. */
const STABLE_AFTER_MS = 30_000;

export interface ChannelDeps {
  readonly identity: NodeIdentity;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** The first frame of each connection. */
  readonly hello: () => AgentFrame;
  /** The hello is sent: the rest of the report may follow. */
  readonly opened: () => void;
  /** The coordinator does not let the node in by its certificate. */
  readonly refused: () => void;
  /** Must not throw. */
  readonly received: (frame: CoordinatorFrame) => void;
}

/** The node's end of the control channel: connects for ever, one WebSocket at a time, until `run`'s signal aborts. */
export class ControlChannel {
  readonly #deps: ChannelDeps;
  #socket: WebSocket | undefined;
  #status: Omit<ChannelStatus, 'url'>;
  #downSinceMs: number | undefined;

  constructor(deps: ChannelDeps) {
    this.#deps = deps;
    this.#status = { state: 'connecting', sinceMs: deps.clock.nowMs(), problem: null };
    this.#downSinceMs = deps.clock.monotonicMs();
  }

  get status(): ChannelStatus {
    return { url: this.#deps.identity.coordinatorUrl, ...this.#status };
  }

  /** Ms since the channel was last open (or since the start); 0 while it is. */
  get downMs(): number {
    return this.#downSinceMs === undefined ? 0 : this.#deps.clock.monotonicMs() - this.#downSinceMs;
  }

  /** Sends when the channel is open; false when it is not: what is worth keeping is part of the next full report. */
  send(frame: AgentFrame): boolean {
    const socket = this.#socket;
    if (socket === undefined || socket.readyState !== WebSocket.OPEN) return false;
    if (socket.bufferedAmount > UNSENT_BYTES_MAX) {
      socket.terminate();
      return false;
    }
    try {
      socket.send(encodeFrame(frame));
      return true;
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#deps.logger.error({ err: error, frame: frame.type }, 'frame not sent');
      return false;
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const openedMs = clock.monotonicMs();
      const problem = await this.#connectOnce(signal);
      if (signal.aborted) return;
      if (clock.monotonicMs() - openedMs > STABLE_AFTER_MS) attempt = 1;
      this.#set('waiting', problem);
      logger.warn({ attempt, problem }, 'no control channel');
      await pause(backoffMs(attempt, BACKOFF, random), signal);
      this.#set('connecting', problem);
    }
  }

  /** Resolves with the reason when the connection has ended, or could not be made. */
  #connectOnce(signal: AbortSignal): Promise<string> {
    return new Promise((resolve) => {
      const socket = this.#dial();
      const stop = (): void => {
        socket.close(1001, 'agent stops');
        terminated = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      };
      let terminated: NodeJS.Timeout | undefined;
      let reason = '';
      let pingTimer: NodeJS.Timeout | undefined;
      let watchdog: NodeJS.Timeout | undefined;
      let heardMs = this.#deps.clock.monotonicMs();
      const heard = (): void => {
        heardMs = this.#deps.clock.monotonicMs();
      };
      signal.addEventListener('abort', stop, { once: true });
      socket.on('open', () => {
        pingTimer = setInterval(() => socket.ping(), PING_INTERVAL_MS);
        watchdog = setInterval(() => this.#endIfSilent(socket, heardMs), LOOK_INTERVAL_MS);
        this.#open(socket);
      });
      socket.on('ping', heard).on('pong', heard);
      socket.on('message', (data, isBinary) => {
        heard();
        reason ||= this.#receive(socket, data, isBinary) ?? '';
      });
      socket.on('error', (error) => {
        reason ||= explain(error);
        if (isRefusal(error)) this.#deps.refused();
      });
      socket.on('close', (code, text) => {
        clearInterval(pingTimer);
        clearInterval(watchdog);
        clearTimeout(terminated);
        signal.removeEventListener('abort', stop);
        this.#closed(socket);
        resolve(reason || closeReason(code, text.toString('utf8')));
      });
    });
  }

  #dial(): WebSocket {
    const { coordinatorUrl, ca, channel } = this.#deps.identity;
    return new WebSocket(`${coordinatorUrl.replace(/^https:/, 'wss:')}/v1/channel`, {
      ca,
      // It is trusted as it is: nothing that its own issuer has issued besides counts.
      allowPartialTrustChain: true,
      key: channel.key,
      cert: channel.certificate,
      minVersion: 'TLSv1.3',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: FRAME_BYTES_MAX,
      perMessageDeflate: false,
      maxFragments: FRAME_FRAGMENTS_MAX,
      maxBufferedChunks: FRAME_CHUNKS_MAX,
      followRedirects: false,
    });
  }

  #open(socket: WebSocket): void {
    this.#socket = socket;
    this.#downSinceMs = undefined;
    this.#set('connected', null);
    this.#deps.logger.info('control channel open');
    this.send(this.#deps.hello());
    this.#deps.opened();
  }

  /** Returns why the frame is refused, and the channel closed. */
  #receive(socket: WebSocket, data: RawData, isBinary: boolean): string | undefined {
    // What is still on its way behind a frame that was refused.
    if (socket.readyState !== WebSocket.OPEN) return undefined;
    if (!isBinary || !Buffer.isBuffer(data)) {
      socket.close(CLOSE_CODES.badFrame, 'binary frames only');
      return 'the coordinator sent text, which is no frame';
    }
    let frame: CoordinatorFrame;
    try {
      frame = decodeCoordinatorFrame(data);
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'frame refused');
      socket.close(CLOSE_CODES.badFrame, 'frame refused');
      return `a frame of the coordinator was refused: ${messageOf(error)}`;
    }
    this.#deps.received(frame);
    return undefined;
  }

  #endIfSilent(socket: WebSocket, heardMs: number): void {
    if (this.#deps.clock.monotonicMs() - heardMs > SILENCE_MAX_MS) socket.terminate();
  }

  #closed(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    this.#downSinceMs = this.#deps.clock.monotonicMs();
  }

  #set(state: ChannelStatus['state'], problem: string | null): void {
    this.#status = { state, sinceMs: this.#deps.clock.nowMs(), problem };
  }
}

const REVOKED =
  'this node is revoked: the others have let go of it. To bring it back, on the coordinator run meshctl node readmit and meshctl token create, then here agentctl enroll --again';

const NOT_UNDERSTOOD =
  'the coordinator does not understand what this agent says: if its version is the older one, update the coordinator first';

/** What an operator can do something about; else Node's own words. */
function explain(error: Error): string {
  const message = messageOf(error);
  if (message.includes('Unexpected server response: 401'))
    return 'the coordinator does not accept this certificate: it has expired, or the clocks of the two machines disagree';
  if (message.includes('Unexpected server response: 403'))
    return 'the coordinator does not know this node any more: enrol it again';
  if (message.includes('Unexpected server response: 410')) return REVOKED;
  if (message.includes('Unexpected server response: 429'))
    return 'this node has connected very often: is there another agent with its identity?';
  return message;
}

/** Of the certificate; one that is revoked stays so. */
function isRefusal(error: Error): boolean {
  return /Unexpected server response: 40[13]$/.test(messageOf(error));
}

function closeReason(code: number, text: string): string {
  if (code === CLOSE_CODES.replaced) return 'another agent with this identity has connected';
  if (code === CLOSE_CODES.revoked) return REVOKED;
  if (code === CLOSE_CODES.certificateExpired) return 'this certificate has expired: it is to be renewed first';
  if (code === CLOSE_CODES.tooMuch) return 'the coordinator says that this node sends too much';
  if (code === CLOSE_CODES.badFrame) return NOT_UNDERSTOOD;
  if (code === CLOSE_CODES.protocol) return 'the coordinator speaks another version of the protocol';
  return text === '' ? `closed by the coordinator (${code})` : `closed by the coordinator: ${text} (${code})`;
}
