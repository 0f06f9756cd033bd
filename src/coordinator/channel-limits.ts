import { FRAME_BYTES_MAX } from '../control/limits.ts';
import type { Rate } from '../token-bucket.ts';

/** What one peer of the TLS port can cost, and how long it is waited for. */
export interface ChannelLimits {
  /** Connections in all, of nodes and of others. */
  readonly connectionsMax: number;
  /** Connections among them that have not shown yet that they are a node's; above it the oldest one ends. */
  readonly strangersMax: number;
  /** From TCP connect to the first byte, and from that to the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** From the first byte of an HTTP request to its last. */
  readonly requestTimeoutMs: number;
  readonly enrolmentBytesMax: number;
  /** Enrolments under way at once, their bodies read; more are told to try again. */
  readonly enrolmentsMax: number;
  /** The same for renewals. */
  readonly renewalsMax: number;
  /** From the upgrade to the hello. */
  readonly helloTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** Channels that one node may open. */
  readonly openings: Rate;
  /** What is taken in of a node without delay: a frame, ping or pong counts as one and as one more for each 2 KiB. */
  readonly intake: Rate;
  /** How far a node may be ahead of that before its channel is closed. */
  readonly intakeDebtMsMax: number;
  /** Pings in a row without an answer after which a node is taken for gone. */
  readonly missedPingsMax: number;
  /** Bytes that may wait for one slow node. */
  readonly unsentBytesMax: number;
  /** How long a node may take to close its end. */
  readonly closeTimeoutMs: number;
}

export const CHANNEL_LIMITS: ChannelLimits = {
  connectionsMax: 16_384,
  strangersMax: 512,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  enrolmentBytesMax: 64 * 1024,
  enrolmentsMax: 128,
  renewalsMax: 128,
  helloTimeoutMs: 10_000,
  pingIntervalMs: 15_000,
  openings: { perSecond: 0.5, burst: 20 },
  // Less than the largest report, which takes 0.05 to 0.1 s to check: two never come at once, for no other node is heard
  // meanwhile. One of 1,000 links that are all up weighs 1,036,000 bytes, so the largest frame cannot be smaller.
  intake: { perSecond: 100, burst: 400 },
  intakeDebtMsMax: 10_000,
  missedPingsMax: 2,
  unsentBytesMax: 4 * FRAME_BYTES_MAX,
  closeTimeoutMs: 1000,
};
