import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';

/** Warnings of one kind are written this often. */
const INTERVAL_MS = 60_000;
/** Kinds are nodes and reasons; beyond this many all are written anew. */
const KINDS_MAX = 4096;

interface Told {
  readonly atMs: number;
  /** Of its kind, since then. */
  untold: number;
}

/** Warnings that come as often as somebody knocks, and must not fill the log. */
export class PacedLog {
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #told = new Map<string, Told>();

  constructor(logger: Logger, clock: Pick<Clock, 'monotonicMs'> = systemClock) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** The first of its kind at once; more of them as `untold`, with the next one after a minute. */
  note(kind: string, fields: Readonly<Record<string, unknown>>, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#told.get(kind);
    if (last !== undefined && nowMs - last.atMs < INTERVAL_MS) {
      last.untold += 1;
      return;
    }
    if (this.#told.size >= KINDS_MAX) this.#told.clear();
    this.#told.set(kind, { atMs: nowMs, untold: 0 });
    this.#logger.warn(last === undefined ? fields : { ...fields, untold: last.untold }, message);
  }
}
