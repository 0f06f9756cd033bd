import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';

const DAY_MS = 86_400_000;
/** So long before its end the operator is told of it, once a day. */
const WARNING_MS = 90 * DAY_MS;

export interface CaEndDeps {
  /** Ms since the epoch. */
  readonly notAfterMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes it an event. */
  readonly note: (message: string) => void;
}

/** Tells in time that the mesh's CA ends, and every certificate with it. */
export class CaEnd {
  readonly #deps: CaEndDeps;
  /** Monotonic. */
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: CaEndDeps) {
    this.#deps = deps;
  }

  /** To be called now and then. */
  tell(): void {
    const { notAfterMs, clock, logger, note } = this.#deps;
    const monotonicMs = clock.monotonicMs();
    if (notAfterMs - clock.nowMs() > WARNING_MS || monotonicMs - this.#toldAtMs < DAY_MS) return;
    this.#toldAtMs = monotonicMs;
    const notAfter = new Date(notAfterMs).toISOString();
    logger.warn({ notAfter }, 'mesh CA ends soon');
    note(`the mesh CA is valid until ${notAfter}, and no certificate beyond that: see docs/certificates.md`);
  }
}
