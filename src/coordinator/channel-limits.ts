import { FRAME_BYTES_MAX } from '../control/limits.ts';

/** What one peer of the TLS port can cost, and how long it is waited for. */
export interface ChannelLimits {
  /** Connections in all, of nodes and of others. */
  readonly connectionsMax: number;
  /** From TCP connect to the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** From the first byte of an HTTP request to its last. */
  readonly requestTimeoutMs: number;
  readonly enrolmentBytesMax: number;
  /** Enrolments under way at once; more are told to try again. */
  readonly enrolmentsMax: number;
  /** From the upgrade to the hello. */
  readonly helloTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** Pings in a row without an answer after which a node is taken for gone. */
  readonly missedPingsMax: number;
  /** Bytes that may wait for one slow node. */
  readonly unsentBytesMax: number;
  /** How long a node may take to close its end. */
  readonly closeTimeoutMs: number;
}

export const CHANNEL_LIMITS: ChannelLimits = {
  connectionsMax: 16_384,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 10_000,
  enrolmentBytesMax: 64 * 1024,
  enrolmentsMax: 128,
  helloTimeoutMs: 10_000,
  pingIntervalMs: 15_000,
  missedPingsMax: 2,
  unsentBytesMax: 4 * FRAME_BYTES_MAX,
  closeTimeoutMs: 1000,
};
