import { availableParallelism, loadavg } from 'node:os';
import { bursts } from './burst-rows.ts';
import { codec } from './codec-rows.ts';
import { listing } from './list-rows.ts';
import { loading } from './load-rows.ts';
import { parseBenchOptions, type BenchOptions } from './options.ts';
import type { Measurement, Row } from './row.ts';
import { tableOf } from './table.ts';

/** The program behind `scripts/bench-vici`, which has the help. */

const MEASUREMENTS: readonly Measurement[] = [codec, loading, listing, bursts];

let interrupted: string | undefined;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // The measurement under way ends first, so that what it started is removed; after Ctrl-C that ends with its charons.
  process.on(name, () => (interrupted = name));
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseBenchOptions(
      args,
      MEASUREMENTS.flatMap(({ names }) => names),
    );
  } catch (error) {
    say(messageOf(error));
    return 2;
  }
  warnIfBusy();
  const rows: Row[] = [];
  const error = await measure(options, rows).then(() => undefined, messageOf);
  if (error !== undefined) say(error);
  const ok = error === undefined && rows.every((row) => row.ok);
  if (options.table) process.stdout.write(tableOf(rows));
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, rows, error })}\n`);
  return ok ? 0 : 1;
}

/** Measures what has a row that is asked for. `rows` gets them as they come, so that they are there after a failure. */
async function measure({ only }: BenchOptions, rows: Row[]): Promise<void> {
  for (const { names, measure: run } of MEASUREMENTS) {
    const wanted = names.filter((name) => only.length === 0 || only.some((text) => name.includes(text)));
    if (wanted.length === 0) continue;
    if (interrupted !== undefined) throw new Error(`interrupted by ${interrupted}`);
    for (const name of wanted) say(name);
    rows.push(...(await run(say)).filter(({ name }) => wanted.includes(name)));
  }
}

/** Where a client and charon could use a processor each, they suffer more from other work than swanctl, which takes turns. */
function warnIfBusy(): void {
  const [load = 0] = loadavg();
  const processors = availableParallelism();
  if (load > processors / 2)
    say(`this machine has other work (load ${load} on ${processors} processors): ratios suffer`);
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
