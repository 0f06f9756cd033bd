import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What is to happen at one system call: the process is killed on entering it, or the call fails without being made. */
export type Fault = 'KILL' | 'EIO' | 'ENOSPC';

/** The calls of one kind are counted from 1, and only those that touch one of the paths. */
export interface CallPoint {
  readonly call: string;
  readonly occurrence: number;
}

export interface Injection extends CallPoint {
  readonly fault: Fault;
}

export interface TracedRun {
  readonly stdout: string;
  /** Names of the system calls that touched one of the paths, in their order. */
  readonly calls: readonly string[];
  /** 137 after a kill. */
  readonly exitCode: number;
}

/** All that opens, changes or names a file. */
const FILE_CALLS = [
  'openat',
  'write',
  'pwrite64',
  'writev',
  'fsync',
  'fdatasync',
  'ftruncate',
  'close',
  'rename',
  'renameat',
  'renameat2',
  'link',
  'unlink',
  'unlinkat',
  'mkdir',
];

/** Runs a program under strace to its end, looking only at what it does to `paths`. Rejects when strace cannot run. */
export async function traced(
  argv: readonly string[],
  { paths, injection }: { readonly paths: readonly string[]; readonly injection?: Injection },
): Promise<TracedRun> {
  const folder = await mkdtemp(join(tmpdir(), 'cygnet-strace-'));
  try {
    const log = join(folder, 'log');
    const strace = straceArgv({ paths, log, ...(injection && { injection }) });
    const { stdout, exitCode } = await ran([...strace, ...argv]);
    return { stdout, exitCode, calls: callsIn(await readFile(log, 'utf8')) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What to put in front of a program. */
export function straceArgv({
  paths,
  log,
  injection,
}: {
  readonly paths: readonly string[];
  readonly log: string;
  readonly injection?: Injection;
}): string[] {
  const faults = injection === undefined ? [] : ['-e', `inject=${injection.call}:${effectOf(injection)}`];
  const watched = paths.flatMap((path) => ['-P', path]);
  return ['strace', '-f', '-qq', '-o', log, '-e', `trace=${FILE_CALLS.join(',')}`, ...watched, ...faults];
}

/** Every call of a run that something could happen at. */
export function pointsOf(calls: readonly string[]): CallPoint[] {
  const seen = new Map<string, number>();
  return calls.map((call) => {
    const occurrence = (seen.get(call) ?? 0) + 1;
    seen.set(call, occurrence);
    return { call, occurrence };
  });
}

export function pointName({ call, occurrence }: CallPoint): string {
  return `${call} ${occurrence}`;
}

function effectOf({ fault, occurrence }: Injection): string {
  return `${fault === 'KILL' ? 'signal=KILL' : `error=${fault}`}:when=${occurrence}`;
}

/** A line is `PID CALL(…`; what begins otherwise is a signal, an end, or a call that is resumed. */
export function callsIn(log: string): string[] {
  return [...log.matchAll(/^\d+ +(?<call>\w+)\(/gm)].map(({ groups }) => groups?.['call'] ?? '');
}

/** Whether the log of a run tells of a call that failed because it was made to. */
export function isInjected(log: string): boolean {
  return log.includes('(INJECTED)');
}

function ran([file = '', ...args]: readonly string[]): Promise<{ stdout: string; exitCode: number }> {
  return new Promise((resolve, reject) => {
    execFile(file, args, (error, stdout) => {
      if (error === null) return resolve({ stdout, exitCode: 0 });
      if (error.signal === 'SIGKILL') return resolve({ stdout, exitCode: 137 });
      if (typeof error.code === 'number') return resolve({ stdout, exitCode: error.code });
      reject(new Error(`${file} cannot run: ${error.message}`, { cause: error }));
    });
  });
}
