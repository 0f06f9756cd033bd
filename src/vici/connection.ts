import type { Socket } from 'node:net';
import { messageOf } from '../errors.ts';
import { Deferred } from './deferred.ts';
import type { ViciEventName } from './events.ts';
import { Exchange, type Answer, type ExchangeKind } from './exchange.ts';
import { decodeMessage, encodeMessage, type ViciSection } from './message.ts';
import { decodePacket, encodePacket, type Packet } from './packet.ts';
import { encodeSegment, SegmentDecoder } from './segment.ts';
import { ViciError } from './vici-error.ts';
import { throwIfAborted, watchLimit, type WaitLimit } from './wait-limit.ts';

export interface ViciEventMessage {
  readonly name: string;
  readonly body: ViciSection;
}

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
  readonly #waiting = new Set<Exchange>();
  readonly #sent: Exchange[] = [];
  readonly #closed = new Deferred<ConnectionEnd>();
  #end: ConnectionEnd | undefined;
  #retiring = false;
  #onEvent: ((event: ViciEventMessage) => void) | undefined;

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

  /** Where events go from now on. The listener must not throw. */
  listen(onEvent: (event: ViciEventMessage) => void): void {
    this.#onEvent = onEvent;
  }

  /** charon's answer to a command. Throws `unknown-command`, and what the limit and the connection's end say. */
  async command(name: string, request: ViciSection, limit: WaitLimit): Promise<ViciSection> {
    const packet: Packet = { type: 'cmd-request', name, body: encodeMessage(request) };
    const answer = await this.#exchange(packet, 'command', name, limit);
    if (answer.type === 'cmd-response') return this.#decodeReply(answer.body);
    throw new ViciError('unknown-command', 'charon does not know it', { command: name });
  }

  /** Resolves when charon will send the event. Throws `unknown-event`. Twice would have it sent twice. */
  async register(event: ViciEventName, limit: WaitLimit): Promise<void> {
    const what = `registration for ${event}`;
    const answer = await this.#exchange({ type: 'event-register', name: event }, 'registration', what, limit);
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

  async #exchange(packet: Packet, kind: ExchangeKind, what: string, limit: WaitLimit): Promise<Answer> {
    const segment = encodeSegment(encodePacket(packet));
    throwIfAborted(limit, what);
    if (this.#end !== undefined) throw closedBecause(this.#end.error);
    const exchange = new Exchange(segment, kind, what, limit, () => this.#waiting.delete(exchange));
    this.#waiting.add(exchange);
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
    for (const exchange of this.#waiting) {
      if (this.#sent.length >= this.#windowMax) return;
      this.#waiting.delete(exchange);
      this.#sent.push(exchange);
      exchange.sent((error) => this.#fail(error, exchange));
      this.#socket.write(exchange.segment);
    }
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
        return this.#deliver({ name: packet.name, body: decodeMessage(packet.body) });
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

  #deliver(event: ViciEventMessage): void {
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
    this.#fillWindow();
    return this.#closeIfRetired();
  }

  #closeIfRetired(): void {
    if (!this.#retiring || this.#sent.length > 0 || this.#waiting.size > 0) return;
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
    const error = closedBecause(end.error);
    for (const exchange of [...this.#sent, ...this.#waiting]) exchange.reject(error);
    this.#sent.length = 0;
    this.#waiting.clear();
    this.#socket.destroy();
  }
}

function closedBecause(error: ViciError): ViciError {
  if (error.code === 'connection-closed') return error;
  return new ViciError('connection-closed', `the connection was given up: ${error.detail}`, { cause: error });
}
