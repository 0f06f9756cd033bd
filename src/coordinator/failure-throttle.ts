import ipaddr from 'ipaddr.js';
import type { Clock } from '../clock.ts';

/** Failures that cost nothing. */
const FREE_FAILURES = 5;
const WAIT_MIN_MS = 1000;
const WAIT_MAX_MS = 60_000;
/** After so long without a failure all is forgotten. */
const MEMORY_MS = 10 * 60_000;
/** Beyond this many remotes the one that failed longest ago is forgotten. */
const REMOTES_MAX = 4096;

interface Failures {
  readonly count: number;
  readonly lastAtMs: number;
}

/**
 * Makes a remote that fails to show who it is wait, twice as long each time. Nobody could guess a token anyway: this keeps
 * what such a remote costs small. What shares an address, or an IPv6 network of 64 bits, waits together.
 */
export class FailureThrottle {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** The one that failed last comes last. */
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Milliseconds until this remote may try again; 0: now. */
  waitMs(remote: string): number {
    const failures = this.#failures.get(networkOf(remote));
    if (failures === undefined || failures.count <= FREE_FAILURES) return 0;
    const waitMs = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** (failures.count - FREE_FAILURES - 1));
    return Math.max(0, failures.lastAtMs + waitMs - this.#clock.monotonicMs());
  }

  failed(remote: string): void {
    const nowMs = this.#clock.monotonicMs();
    const network = networkOf(remote);
    const before = this.#failures.get(network);
    const isForgotten = before === undefined || nowMs - before.lastAtMs > MEMORY_MS;
    this.#failures.delete(network);
    this.#failures.set(network, { count: isForgotten ? 1 : before.count + 1, lastAtMs: nowMs });
    if (this.#failures.size <= REMOTES_MAX) return;
    for (const oldest of this.#failures.keys()) return void this.#failures.delete(oldest);
  }

  succeeded(remote: string): void {
    this.#failures.delete(networkOf(remote));
  }
}

function networkOf(remote: string): string {
  if (!ipaddr.IPv6.isValid(remote)) return remote;
  return ipaddr.IPv6.parse(remote).parts.slice(0, 4).join(':');
}
