import { availableParallelism, loadavg } from 'node:os';
import { tableOf } from '../table.ts';
import { crashes } from './crash-rows.ts';
import { directTime } from './direct-time-rows.ts';
import { fullMesh } from './full-mesh-rows.ts';
import { natMatrix } from './nat-matrix-rows.ts';
import { parsePathsBenchOptions, type PathsBenchOptions } from './options.ts';
import { brokenRow, type PathMeasurement, type PathRow } from './path-row.ts';
import { relayTime } from './relay-time-rows.ts';
import { silentDeaths } from './silent-death-rows.ts';
import { switching } from './switching-rows.ts';

/** The program behind `scripts/bench-paths`, which has the help. */

function measurementsOf({ strongswan, quick }: Pick<PathsBenchOptions, 'strongswan' | 'quick'>): PathMeasurement[] {
  return strongswan.flatMap((version) => [
    ...natMatrix(version),
    directTime(version, quick),
    relayTime(version, quick),
    switching(version, quick),
    silentDeaths(version, quick),
    crashes(version, quick),
    fullMesh(version, quick),
  ]);
}

let interrupted: string | undefined;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // The measurement under way ends first, so that its labs are removed.
  process.on(name, () => (interrupted = name));
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: PathsBenchOptions;
  try {
    options = parsePathsBenchOptions(args, (chosen) => measurementsOf(chosen).flatMap(({ names }) => names));
  } catch (error) {
    say(messageOf(error));
    return 2;
  }
  warnIfBusy();
  const rows: PathRow[] = [];
  for (const measurement of measurementsOf(options)) rows.push(...(await measure(options, measurement)));
  const ok = interrupted === undefined && rows.every((row) => row.ok);
  if (options.table) process.stdout.write(tableOf(rows) + remarksOn(rows));
  const error = interrupted && `interrupted by ${interrupted}`;
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, rows, error })}\n`);
  return ok ? 0 : 1;
}

/** The rows of a measurement that are asked for. One that breaks does not keep the others. */
async function measure({ only }: PathsBenchOptions, { names, measure: run }: PathMeasurement): Promise<PathRow[]> {
  const wanted = names.filter((name) => only.length === 0 || only.some((text) => name.includes(text)));
  if (wanted.length === 0 || interrupted !== undefined) return [];
  for (const name of wanted) say(name);
  try {
    return (await run(say)).filter(({ name }) => wanted.includes(name));
  } catch (error) {
    say(messageOf(error));
    return wanted.map((name) => brokenRow(name, messageOf(error)));
  }
}

/** What a row has beside its figures, for people. */
function remarksOn(rows: readonly PathRow[]): string {
  const remarks = rows.flatMap(({ name, seen, problem }) => [
    ...(seen === undefined
      ? []
      : [
          `${name}: ${Object.entries(seen)
            .map((entry) => entry.join(' '))
            .join('; ')}`,
        ]),
    ...(problem === undefined ? [] : [`${name}: ${problem}`]),
  ]);
  return remarks.length === 0 ? '' : `\n${remarks.join('\n')}\n`;
}

function warnIfBusy(): void {
  const [load = 0] = loadavg();
  const processors = availableParallelism();
  if (load > processors / 2)
    say(`this machine has other work (load ${load} on ${processors} processors): times suffer`);
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
