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

export interface LongPingOptions {
  /** Default: the node's LAN address. */
  readonly from?: string;
  /** Seconds between two packets; default 0.05. */
  readonly intervalSeconds?: number;
}

/** An answer, as ping tells of it. */
export interface PingReply {
  /** When it came: ms since the epoch. */
  readonly atMs: number;
  readonly sequence: number;
  /** What is left of the answer's hops: every router on its way has taken one. */
  readonly ttl: number;
}

export function pingArgv({ from, to }: PingRoute, { count, intervalSeconds = 0.1 }: PingPace): readonly string[] {
  return ['ping', '-n', '-q', '-I', from, '-c', `${count}`, '-i', `${intervalSeconds}`, '-W', `${ANSWER_SECONDS}`, to];
}

export function longPingArgv({ from, to }: PingRoute, intervalSeconds: number): readonly string[] {
  return ['ping', '-n', '-D', '-I', from, '-i', `${intervalSeconds}`, to];
}

/** Reads what a ping with `-D` has written so far; a line that it is still writing is left for later. */
export function parseReplies(output: string): readonly PingReply[] {
  const lines = output.matchAll(/^\[(\d+\.\d+)\] .*icmp_seq=(\d+) ttl=(\d+) .*\n/gm);
  return Array.from(lines, ([, at, sequence, ttl]) => ({
    atMs: Number(at) * 1000,
    sequence: Number(sequence),
    ttl: Number(ttl),
  }));
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
export function parseStopped(output: string, intervalSeconds: number): PingCount {
  const { sent } = parseSummary(output);
  const answered = new Set(Array.from(output.matchAll(/icmp_seq=(\d+) ttl=/g), ([, sequence]) => Number(sequence)));
  const underWay = Math.round(ANSWER_SECONDS / intervalSeconds);
  const lastAnswered = Math.max(0, ...answered);
  return { sent: sent - lastAnswered <= underWay ? lastAnswered : sent, received: answered.size };
}

/** A ping that runs until it is stopped. */
export class LongPing {
  readonly #process: LabProcess;
  readonly #intervalSeconds: number;

  constructor(process: LabProcess, intervalSeconds: number) {
    this.#process = process;
    this.#intervalSeconds = intervalSeconds;
  }

  /** The answers so far, or all of them once it was stopped. */
  async replies(): Promise<readonly PingReply[]> {
    return parseReplies(await this.#output());
  }

  async stop(): Promise<PingCount> {
    await this.#process.stop('SIGINT');
    return parseStopped(await this.#output(), this.#intervalSeconds);
  }

  #output(): Promise<string> {
    return readFile(this.#process.logFile, 'utf8');
  }
}
