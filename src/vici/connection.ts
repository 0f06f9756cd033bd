import type { Socket } from 'node:net';
import { messageOf } from '../errors.ts';
import { Deferred } from './deferred.ts';
import { Exchange, type Answer, type ExchangeKind } from './exchange.ts';
import { Fifo } from './fifo.ts';
import { decodeMessage, type ViciInput, type ViciSection } from './message.ts';
import { decodePacket, encodePacket, type Packet, type PacketOf } from './packet.ts';
import { encodeRequest } from './request.ts';
import { encodeSegment, SegmentDecoder } from './segment.ts';
import { ViciError } from './vici-error.ts';
import { throwIfAborted, watchLimit, type WaitLimit } from './wait-limit.ts';

/** Requests that may wait for a place in the window. Whoever sends more should wait for answers now and then. */
export const QUEUE_MAX = 65_536;

const WRITTEN_TOGETHER_MAX = 64;

/** An event as it came; its body is not decoded yet. */
export type EventPacket = PacketOf<'event'>;

/** How a connection ended. */
export interface ConnectionEnd {
  /** True when this side wanted it; false when charon hung up, broke the protocol or missed a deadline. */
  readonly intended: boolean;
  readonly error: ViciError;
}

/**
 * One VICI connection. charon has no sequence numbers but answers each connection strictly in order, so requests are
 * pipelined within a window and answers matched first in, first out. On any doubt about that order (a deadline that
 * passed, an answer of the wrong kind, bytes that are no VICI) the connection is destroyed, never resynchronised.
 */
export class ViciConnection {
  readonly #socket: Socket;
  readonly #windowMax: number;
  readonly #decoder = new SegmentDecoder();
  readonly #waiting = new Fifo<Exchange>();
  readonly #sent = new Fifo<Exchange>();
  readonly #closed = new Deferred<ConnectionEnd>();
  #end: ConnectionEnd | undefined;
  #retiring = false;
  /** Requests that were written and have not left. */
  #corked = 0;
  #onEvent: ((event: EventPacket) => void) | undefined;
  #onLost = (_error: ViciError): void => {};

  /** Takes over an open socket. `windowMax`: requests that may be on their way at once. */
  constructor(socket: Socket, windowMax: number) {
    this.#socket = socket;
    this.#windowMax = windowMax;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(new ViciError('connection-closed', messageOf(error), { cause: error })));
    socket.once('close', () => this.#hungUp());
  }

  /** Resolves when the socket is closed, whoever wanted that; never rejects. */
  get closed(): Promise<ConnectionEnd> {
    return this.#closed.promise;
  }

  /** Where events go from now on. A ViciError that the listener throws ends the connection. */
  listen(onEvent: (event: EventPacket) => void): void {
    this.#onEvent = onEvent;
  }

  /** Whom to tell when it ends and this side did not want that; before anybody who waits for an answer hears of it. */
  whenLost(onLost: (error: ViciError) => void): void {
    this.#onLost = onLost;
  }

  /** charon's answer to a command. Throws `unknown-command`, and what the limit and the connection's end say. */
  async command(name: string, request: ViciInput, limit: WaitLimit): Promise<ViciSection> {
    const answer = await this.#exchange(encodeRequest(name, request), 'command', name, limit);
    if (answer.type === 'cmd-response') return this.#decodeReply(answer.body);
    throw new ViciError('unknown-command', 'charon does not know it', { command: name });
  }

  /** Resolves when charon will send the event. Throws `unknown-event`. Twice would have it sent twice. */
  async register(event: string, limit: WaitLimit): Promise<void> {
    const what = `registration for ${event}`;
    const segment = encodeSegment(encodePacket({ type: 'event-register', name: event }));
    const answer = await this.#exchange(segment, 'registration', what, limit);
    if (answer.type === 'event-unknown') throw new ViciError('unknown-event', `charon does not know ${event}`);
  }

  /** Stops reading; charon then queues for us. Deadlines run on, so only for connections that have none waiting. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Closes as soon as every answer is in, or at the latest after `timeoutMs`. */
  retire(timeoutMs?: number): void {
    this.#retiring = true;
    const stop = watchLimit({ timeoutMs }, 'the rest of the answer', (error) => this.#fail(error));
    void this.closed.then(stop);
    this.#closeIfRetired();
  }

  /** Closes now; whoever waits gets the error. */
  destroy(error: ViciError): void {
    this.#finish({ intended: true, error });
  }

  #exchange(segment: Uint8Array, kind: ExchangeKind, what: string, limit: WaitLimit): Promise<Answer> {
    throwIfAborted(limit, what);
    if (this.#end !== undefined) throw closedBecause(this.#end.error);
    if (this.#waiting.length >= QUEUE_MAX) {
      throw new ViciError('queue-full', `${QUEUE_MAX} requests wait already: wait for answers before sending more`);
    }
    const exchange = new Exchange(segment, kind, what, limit);
    this.#waiting.push(exchange);
    this.#fillWindow();
    return exchange.answer;
  }

  #decodeReply(body: Uint8Array): ViciSection {
    try {
      return decodeMessage(body);
    } catch (error) {
      if (error instanceof ViciError) this.#fail(error);
      throw error;
    }
  }

  #fillWindow(): void {
    while (this.#sent.length < this.#windowMax) {
      const exchange = this.#waiting.shift();
      if (exchange === undefined) return;
      if (exchange.abandoned) continue;
      this.#sent.push(exchange);
      exchange.sent((error) => this.#fail(error, exchange));
      this.#write(exchange.segment);
    }
  }

  /** Requests of one turn of the event loop leave together, but not so many that charon waits for them. */
  #write(segment: Uint8Array): void {
    if (this.#corked === 0) {
      this.#socket.cork();
      process.nextTick(() => this.#flush());
    }
    this.#corked += 1;
    this.#socket.write(segment);
    if (this.#corked >= WRITTEN_TOGETHER_MAX) this.#flush();
  }

  #flush(): void {
    if (this.#corked === 0) return;
    this.#corked = 0;
    this.#socket.uncork();
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (const segment of this.#decoder.push(chunk)) {
        if (this.#end !== undefined) return;
        this.#route(decodePacket(segment));
      }
    } catch (error) {
      if (!(error instanceof ViciError)) throw error;
      this.#fail(error);
    }
  }

  #route(packet: Packet): void {
    switch (packet.type) {
      case 'event':
        return this.#deliver(packet);
      case 'cmd-response':
      case 'cmd-unknown':
      case 'event-confirm':
      case 'event-unknown':
        return this.#answer(packet);
      case 'cmd-request':
      case 'event-register':
      case 'event-unregister':
        throw new ViciError('malformed-message', `the peer sent a ${packet.type}, which only a client may`);
    }
  }

  #deliver(event: EventPacket): void {
    if (this.#onEvent !== undefined) return this.#onEvent(event);
    throw new ViciError('malformed-message', `event ${event.name} without a registration`);
  }

  #answer(answer: Answer): void {
    const exchange = this.#sent.shift();
    if (exchange === undefined) throw new ViciError('malformed-message', `${answer.type} without a request`);
    if (!exchange.isAnsweredBy(answer)) {
      const error = new ViciError('malformed-message', `${answer.type} answers another kind of request`);
      return this.#fail(error, exchange);
    }
    exchange.resolve(answer);
    // Half of it at a time: a few long writes cost less than many short ones, and charon still has enough to do.
    if (this.#sent.length <= this.#windowMax / 2) this.#fillWindow();
    return this.#closeIfRetired();
  }

  #closeIfRetired(): void {
    if (!this.#retiring || this.#sent.length > 0 || this.#waiting.length > 0) return;
    this.destroy(new ViciError('connection-closed', 'done'));
  }

  #hungUp(): void {
    const cutOff = this.#decoder.pendingBytes;
    const detail = cutOff === 0 ? 'charon hung up' : `charon hung up within a segment, ${cutOff} bytes into it`;
    this.#fail(new ViciError('connection-closed', detail));
    if (this.#end !== undefined) this.#closed.resolve(this.#end);
  }

  /** `culprit` gets the error itself; the others only lost their connection by it. */
  #fail(error: ViciError, culprit?: Exchange): void {
    culprit?.reject(error);
    this.#finish({ intended: false, error });
  }

  #finish(end: ConnectionEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (!end.intended) this.#onLost(end.error);
    const error = closedBecause(end.error);
    for (const exchange of [...this.#sent.drain(), ...this.#waiting.drain()]) exchange.reject(error);
    this.#socket.destroy();
  }
}

function closedBecause(error: ViciError): ViciError {
  if (error.code === 'connection-closed') return error;
  return new ViciError('connection-closed', `the connection was given up: ${error.detail}`, { cause: error });
}
