import { messageOf } from '../../src/errors.ts';
import type { BenchOptions } from './options.ts';
import { brokenRow, type PathMeasurement, type PathRow } from './paths/path-row.ts';
import type { Say } from './row.ts';
import { tableOf } from './table.ts';

/** A program that measures one group of rows after the other. A group that breaks does not keep the others. */
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

/** Runs it to its end, or until it is interrupted and the group under way has ended. Returns the exit code. */
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
  const interruption = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // The group under way ends first, so that what it started is removed.
    process.on(name, () => interruption.abort(name));
  }
  program.begin?.(say);
  const rows: PathRow[] = [];
  for (const measurement of program.measurementsOf(options)) {
    if (!interruption.signal.aborted) rows.push(...(await measured(measurement, options, say)));
  }
  const error = interruption.signal.aborted ? `interrupted by ${String(interruption.signal.reason)}` : undefined;
  const ok = error === undefined && rows.every((row) => row.ok);
  if (options.table) process.stdout.write(tableOf(rows) + program.remarksOn(rows));
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, rows, error })}\n`);
  return ok ? 0 : 1;
}

/** The rows of a group that are asked for. */
async function measured(
  { names, measure }: PathMeasurement,
  { only }: BenchOptions,
  say: Say,
): Promise<readonly PathRow[]> {
  const wanted = names.filter((name) => only.length === 0 || only.some((text) => name.includes(text)));
  if (wanted.length === 0) return [];
  for (const name of wanted) say(name);
  const startedMs = performance.now();
  try {
    return (await measure(say)).filter(({ name }) => wanted.includes(name));
  } catch (error) {
    say(messageOf(error));
    return wanted.map((name) => brokenRow(name, messageOf(error)));
  } finally {
    say(`took ${Math.round((performance.now() - startedMs) / 1000)} s`);
  }
}
