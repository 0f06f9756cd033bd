import { WebSocket } from 'ws';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { encodeFrame } from '../../src/control/codec.ts';
import { dial } from './channel-client.ts';
import { hello } from './nodes.ts';

/**
 * A program that holds channels as good nodes do and measures how long the coordinator takes to answer each. Gets their
 * identities as its first message, says `ready`, and answers any later message with what it has measured since.
 */
export interface Measured {
  readonly answers: number;
  /** Ms that 99 of 100 answers took at most. */
  readonly p99Ms: number;
  /** Channels that ended. */
  readonly lost: number;
}

const PING_EVERY_MS = 50;

let tookMs: number[] = [];
let lost = 0;

process.once('message', (identities: readonly NodeIdentity[]) => {
  const waiting = new Set(identities.map(({ node }) => node));
  for (const identity of identities) {
    hold(identity, () => {
      waiting.delete(identity.node);
      if (waiting.size === 0) process.send?.('ready');
    });
  }
  process.on('message', () => process.send?.(measured()));
});

function hold(identity: NodeIdentity, onOpen: () => void): void {
  const socket = dial(identity);
  let sentMs: number | undefined;
  socket.on('open', () => {
    socket.send(encodeFrame(hello()));
    onOpen();
    setInterval(() => {
      // An answer that is overdue is waited for, so that it counts with all of its delay.
      if (sentMs !== undefined || socket.readyState !== WebSocket.OPEN) return;
      sentMs = performance.now();
      socket.ping();
    }, PING_EVERY_MS);
  });
  socket.on('pong', () => {
    if (sentMs !== undefined) tookMs.push(performance.now() - sentMs);
    sentMs = undefined;
  });
  socket.on('error', () => undefined);
  socket.on('close', () => (lost += 1));
}

function measured(): Measured {
  const sorted = tookMs.toSorted((a, b) => a - b);
  tookMs = [];
  return { answers: sorted.length, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN, lost };
}
