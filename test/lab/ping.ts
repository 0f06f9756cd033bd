import { readFile } from 'node:fs/promises';
import { LabError } from './run.ts';
import type { LabProcess } from './lab-process.ts';

export interface PingCount {
  readonly sent: number;
  readonly received: number;
}

export interface PingRoute {
  /** The address that the packets come from; one of the host's own. */
  readonly from: string;
  readonly to: string;
}

export interface PingPace {
  readonly count: number;
  /** Seconds between two packets; default 0.1. */
  readonly intervalSeconds?: number;
}

/** The time that a packet has for its way there and back, in seconds. */
const ANSWER_SECONDS = 1;
const LONG_PING_INTERVAL_SECONDS = 0.05;

export function pingArgv({ from, to }: PingRoute, { count, intervalSeconds = 0.1 }: PingPace): readonly string[] {
  return ['ping', '-n', '-q', '-I', from, '-c', `${count}`, '-i', `${intervalSeconds}`, '-W', `${ANSWER_SECONDS}`, to];
}

export function longPingArgv({ from, to }: PingRoute): readonly string[] {
  return ['ping', '-n', '-D', '-I', from, '-i', `${LONG_PING_INTERVAL_SECONDS}`, to];
}

/** Reads ping's summary; throws LabError when there is none, because ping did not understand what it was to do. */
export function parseSummary(output: string): PingCount {
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
  if (sent !== undefined) return { sent: Number(sent), received: Number(received) };
  throw new LabError('command-failed', `ping says: ${output.trim()}`);
}

/**
 * Reads the output of a ping that was stopped. The packets of its last second may still have been under way, so those
 * after the last answer are not counted when they are that few.
 */
export function parseStopped(output: string): PingCount {
  const { sent } = parseSummary(output);
  const answered = new Set(Array.from(output.matchAll(/icmp_seq=(\d+) ttl=/g), ([, sequence]) => Number(sequence)));
  const underWay = Math.round(1 / LONG_PING_INTERVAL_SECONDS);
  const lastAnswered = Math.max(0, ...answered);
  return { sent: sent - lastAnswered <= underWay ? lastAnswered : sent, received: answered.size };
}

/** A ping that runs, 20 packets a second, until it is stopped. */
export class LongPing {
  readonly #process: LabProcess;

  constructor(process: LabProcess) {
    this.#process = process;
  }

  async stop(): Promise<PingCount> {
    await this.#process.stop('SIGINT');
    return parseStopped(await readFile(this.#process.logFile, 'utf8'));
  }
}
