import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import type { Findings } from './proof.ts';
import { numbered, numberedFile } from './numbered-state.ts';
import { pointName, pointsOf, traced, type Fault, type Injection, type TracedRun } from './strace.ts';

export interface CrashPointOptions {
  /** Path of the compiled `state-writer.ts`. */
  readonly writer: string;
  readonly faults: readonly Fault[];
  /** The generations that are on disk before the writer begins; 0: nothing, not even the folder. */
  readonly beginnings: readonly number[];
  /** How many generations it writes. */
  readonly writes: number;
}

/** Cases that run at once. */
const LANES = 2;

/**
 * Runs the writer once for each system call on its files, with a fault at that call, and says what was wrong afterwards:
 * a state that is neither the old nor the new one, one that is older than what the writer had said to hold, or a fault
 * that it did not name or did not survive.
 */
export async function crashPoints({ writer, faults, beginnings, writes }: CrashPointOptions): Promise<Findings> {
  const cases: Case[] = [];
  for (const held of beginnings) {
    const points = pointsOf((await write({ writer, held, writes })).calls);
    for (const fault of faults) {
      cases.push(...points.map((point) => ({ writer, held, writes, injection: { ...point, fault } })));
    }
  }
  const wrong: string[] = [];
  const waiting = [...cases];
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const problem = await problemOf(next);
      const { fault, ...point } = next.injection;
      if (problem !== undefined) {
        wrong.push(`${fault} at ${pointName(point)} after generation ${next.held}: ${problem}`);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { cases: cases.length, wrong };
}

/** The system calls of one write without a fault, after a state that was there. */
export async function callsOfWrite(writer: string): Promise<readonly string[]> {
  return (await write({ writer, held: 1, writes: 1 })).calls;
}

interface Run {
  readonly writer: string;
  readonly held: number;
  readonly writes: number;
}

interface Case extends Run {
  readonly injection: Injection;
}

type Scene = TracedRun & {
  /** What is on disk; undefined for nothing. */
  readonly generation: number | undefined;
  readonly files: readonly string[];
};

async function problemOf(tried: Case): Promise<string | undefined> {
  let scene: Scene;
  try {
    scene = await write(tried);
  } catch (error) {
    return messageOf(error);
  }
  const { generation = 0, stdout, exitCode } = scene;
  const acknowledged = Math.max(tried.held, ...told(stdout, 'held'));
  if (generation < acknowledged) return `generation ${generation} is on disk, ${acknowledged} was acknowledged`;
  if (generation > acknowledged + 1) return `generation ${generation} is on disk before it was written`;
  return tried.injection.fault === 'KILL' ? killProblem(exitCode) : errorProblem(scene, tried);
}

function killProblem(exitCode: number): string | undefined {
  return exitCode === 137 ? undefined : `it was not killed: it ended with ${exitCode}`;
}

function errorProblem({ stdout, exitCode, generation, files }: Scene, tried: Case): string | undefined {
  if (exitCode !== 0) return `it did not go on: it ended with ${exitCode}`;
  const refusals = stdout.split('\n').filter((line) => line.startsWith('refused '));
  if (refusals.length > 1) return 'it refused more than one write';
  const { fault } = tried.injection;
  if (refusals.some((line) => !line.includes(fault) || !line.includes('state.json'))) return `it says: ${refusals[0]}`;
  const last = tried.held + tried.writes;
  const lastIsRefused = told(stdout, 'refused').includes(last);
  if (generation !== last && !lastIsRefused) return `generation ${generation} is on disk after the last write`;
  const leftOver = files.filter((file) => file.endsWith('.new'));
  return leftOver.length === 0 ? undefined : `it left ${leftOver.join(', ')} behind`;
}

/** Writes in a folder of its own and looks at what is there; throws when what is there cannot be read. */
async function write({ writer, held, writes, injection }: Run & Partial<Case>): Promise<Scene> {
  const parent = mkdtempSync(join(tmpdir(), 'cygnet-crash-'));
  const folder = join(parent, 'state');
  try {
    if (held > 0) numberedFile(folder).write(numbered(held));
    const path = join(folder, 'state.json');
    const argv = [process.execPath, writer, folder, String(held + 1), String(held + writes)];
    const files = ['', '.new', '.previous', '.previous.new'].map((suffix) => path + suffix);
    const run = await traced(argv, { paths: [folder, ...files, parent], ...(injection && { injection }) });
    return { ...run, generation: numberedFile(folder).read()?.generation, files: filesIn(folder) };
  } finally {
    rmSync(parent, { recursive: true });
  }
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function told(stdout: string, what: 'held' | 'refused'): number[] {
  return [...stdout.matchAll(new RegExp(`^${what} (\\d+)`, 'gm'))].map(([, generation]) => Number(generation));
}
