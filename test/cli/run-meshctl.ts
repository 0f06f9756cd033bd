import { Readable } from 'node:stream';
import { meshctl } from '../../src/cli/meshctl.ts';
import { FakeTerminal } from './fake-terminal.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  /** Wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  readonly stdin?: string;
}

/** Runs meshctl to its end. */
export async function runMeshctl(args: readonly string[], { nowMs, stdin = '' }: Surroundings): Promise<Outcome> {
  const terminal = new FakeTerminal();
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const code = await meshctl(args, { terminal, clock, stdin: Readable.from([stdin]) });
  return { code, stdout: terminal.stdout, stderr: terminal.stderr };
}
