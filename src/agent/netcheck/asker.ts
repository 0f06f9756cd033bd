import type { pause } from '../../clock.ts';
import { canonicalAddress, sameEndpoint, type Endpoint } from './endpoint.ts';
import type { UdpSocket } from './udp-network.ts';

/** A lossy way: one packet of three may go missing without a wrong finding. */
const SENDS = 3;
const RESEND_MS = 300;
/** After the last send: longer than a round trip over two satellites. */
const LAST_WAIT_MS = 900;

/** One question over UDP. */
export interface Question<T> {
  readonly to: Endpoint;
  readonly datagram: Uint8Array;
  /** What a datagram from there says, or undefined when it is no answer to this. Must not throw. */
  readonly read: (datagram: Uint8Array) => T | undefined;
  /** Gives up at once when the datagram goes out in fragments. */
  readonly whole?: true;
}

interface Open {
  readonly to: Endpoint;
  readonly take: (datagram: Uint8Array) => void;
}

/** Asks from one socket, and hands what comes in to the question that it answers. */
export class Asker {
  readonly #pause: typeof pause;
  readonly #open = new Set<Open>();

  constructor(deps: { readonly pause: typeof pause }) {
    this.#pause = deps.pause;
  }

  /** What the socket receives. Only a datagram from where a question went can answer it. */
  readonly received = (datagram: Uint8Array, from: Endpoint): void => {
    const address = canonicalAddress(from.address);
    if (address === undefined) return;
    for (const open of this.#open) if (sameEndpoint(open.to, { address, port: from.port })) open.take(datagram);
  };

  /** Sends up to {@link SENDS} times until it is answered; undefined after 1.5 s, or when `signal` aborts. */
  async ask<T>(socket: UdpSocket, question: Question<T>, signal: AbortSignal): Promise<T | undefined> {
    const answers: T[] = [];
    const answered = new AbortController();
    const open: Open = {
      to: question.to,
      take: (datagram) => {
        const answer = question.read(datagram);
        if (answer === undefined) return;
        answers.push(answer);
        answered.abort();
      },
    };
    this.#open.add(open);
    const stop = AbortSignal.any([signal, answered.signal]);
    try {
      for (let sent = 1; sent <= SENDS && !stop.aborted; sent += 1) {
        if (!socket.send(question.datagram, question.to) && question.whole) break;
        await this.#pause(sent < SENDS ? RESEND_MS : LAST_WAIT_MS, stop);
      }
      return answers[0];
    } finally {
      this.#open.delete(open);
    }
  }
}
