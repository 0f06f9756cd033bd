import { pause } from '../clock.ts';
import type { Logger } from '../log.ts';
import { ViciClient, ViciError, type ViciLogLine } from '../vici/index.ts';

/**
 * A mediated set-up writes 80 lines at each end and 20 at the mediator, of 160 bytes each. 40 of them at once came at up
 * to 640 lines in 100 ms, and were 3,200 in all: so this is more than a second of the worst that was seen.
 */
const LINES_WAITING_MAX = 8192;

/** After something went wrong with reading it. */
const RETRY_MS = 30_000;

export interface CharonLogReaderDeps extends Pick<CharonLogDeps, 'onLine'> {
  readonly viciSocket: string;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Reads charon's log through a client of its own until the signal aborts, whatever goes wrong. */
export async function readCharonLog(deps: CharonLogReaderDeps, signal: AbortSignal): Promise<void> {
  const { viciSocket: socketPath, random, logger, onLine } = deps;
  await using client = new ViciClient({ socketPath, random });
  while (!signal.aborted) {
    try {
      await followCharonLog({ client, onLine, onGap: () => undefined }, signal);
    } catch (error) {
      logger.error({ err: error }, 'log of charon not readable');
      await pause(RETRY_MS, signal);
    }
  }
}

export interface CharonLogDeps {
  /**
   * A client of its own, apart from the one that commands go through and the main events come from: what goes wrong on
   * one connection of a session ends the session, and the log is the event whose volume remote peers choose.
   */
  readonly client: ViciClient;
  /** Each line of level 0 or 1, in charon's order. Called for many in a row, so it should be quick and not throw. */
  readonly onLine: (line: ViciLogLine) => void;
  /** Lines may have been missed: at the beginning, when charon was away, when a burst was too much. */
  readonly onGap: () => void;
  /** Lines that may wait for this process; 8192 by default. */
  readonly linesWaitingMax?: number;
}

/**
 * Follows charon's log until the signal aborts. A burst that cannot be kept up with is dropped as a whole, and the log
 * taken up again behind it (`events-overflow`): lines are evidence, not state, and what they were about shows in list-sas
 * or happens again. charon has no back pressure: what this end does not read it keeps in its own memory.
 */
export async function followCharonLog(deps: CharonLogDeps, signal: AbortSignal): Promise<void> {
  const { client, onLine, onGap, linesWaitingMax: capacity = LINES_WAITING_MAX } = deps;
  while (!signal.aborted) {
    try {
      for await (const event of client.events(['log'], { signal, capacity })) {
        if (event.name === 'log') onLine(event.body);
        else if (event.name === 'resync') onGap();
      }
    } catch (error) {
      if (!(error instanceof ViciError)) throw error;
      if (!signal.aborted && error.code !== 'events-overflow') throw error;
    }
  }
}
