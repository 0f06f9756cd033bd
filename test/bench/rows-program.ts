import { constants } from 'node:os';
import { messageOf } from '../../src/errors.ts';
import { Lab } from '../lab/lab.ts';
import { groupOfThisProcess, measureForParent, measureInProcess, type GroupProcessOptions } from './group-process.ts';
import type { BenchOptions } from './options.ts';
import { brokenRow, type PathMeasurement, type PathRow } from './paths/path-row.ts';
import type { Say } from './row.ts';
import { tableOf } from './table.ts';

const INTERRUPTIONS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

class Interruption extends Error {
  override readonly name = 'Interruption';
  /** As a shell has it of a program that a signal has ended. */
  readonly exitCode: number;

  constructor(signal: (typeof INTERRUPTIONS)[number]) {
    super(`interrupted by ${signal}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * A program that measures one group of rows after the other, each in a process of its own. A group that breaks does not keep
 * the others.
 */
export interface RowsProgram<O extends BenchOptions> {
  /** Before each line of progress. */
  readonly label: string;
  /** Throws what is wrong with the arguments, in words for people. */
  readonly parse: (args: readonly string[]) => O;
  /** Before the first group. */
  readonly begin?: (say: Say) => void;
  readonly measurementsOf: (options: O) => readonly PathMeasurement[];
  /** What people read below the table. */
  readonly remarksOn: (rows: readonly PathRow[]) => string;
}

/**
 * Runs it to its end, or until it is interrupted: then what is being measured is given up, and the processes and labs that
 * it has started are removed; other folders of its own stay below /tmp. Returns the exit code, 128 and the signal's number
 * after an interruption.
 */
export async function runRowsProgram<O extends BenchOptions>(
  program: RowsProgram<O>,
  args: readonly string[],
): Promise<number> {
  const say: Say = (text) => void process.stderr.write(`${program.label}: ${text}\n`);
  let options: O;
  try {
    options = program.parse(args);
  } catch (error) {
    say(messageOf(error));
    return 2;
  }
  const measurements = program.measurementsOf(options);
  const own = groupOfThisProcess();
  if (own !== undefined) return measureOwn(measurements[own], say);
  const signal = interruption();
  program.begin?.(say);
  const rows: PathRow[] = [];
  for (const [group, measurement] of measurements.entries()) {
    const wanted = wantedOf(measurement, options);
    if (signal.aborted || wanted.length === 0) continue;
    rows.push(...(await measured(wanted, { group, args, signal }, say)));
  }
  const interrupted = signal.aborted ? (signal.reason as Interruption) : undefined;
  if (interrupted !== undefined) say(interrupted.message);
  const ok = interrupted === undefined && rows.every((row) => row.ok);
  if (options.table) process.stdout.write(tableOf(rows) + program.remarksOn(rows));
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, rows, error: interrupted?.message })}\n`);
  return interrupted?.exitCode ?? (ok ? 0 : 1);
}

/** Aborts with an Interruption. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of INTERRUPTIONS) process.on(name, () => controller.abort(new Interruption(name)));
  return controller.signal;
}

async function measureOwn(measurement: PathMeasurement | undefined, say: Say): Promise<number> {
  if (measurement === undefined) throw new TypeError('there is no such group of rows');
  await measureForParent(measurement, say);
  return 0;
}

/** The names of the rows of a group that are asked for. */
function wantedOf({ names }: PathMeasurement, { only }: BenchOptions): readonly string[] {
  return names.filter((name) => only.length === 0 || only.some((text) => name.includes(text)));
}

/** The rows of a group that are asked for; none when it was interrupted. */
async function measured(
  wanted: readonly string[],
  group: Omit<GroupProcessOptions, 'program'>,
  say: Say,
): Promise<readonly PathRow[]> {
  for (const name of wanted) say(name);
  const startedMs = performance.now();
  try {
    const rows = await measureInProcess({ program: process.argv[1] ?? '', ...group });
    return rows.filter(({ name }) => wanted.includes(name));
  } catch (error) {
    if (group.signal.aborted) return [];
    say(messageOf(error));
    return wanted.map((name) => brokenRow(name, messageOf(error)));
  } finally {
    for (const id of await Lab.removeDead()) say(`removed lab ${id}`);
    say(`took ${Math.round((performance.now() - startedMs) / 1000)} s`);
  }
}
