import { availableParallelism, loadavg } from 'node:os';
import { runRowsProgram } from '../rows-program.ts';
import type { Say } from '../row.ts';
import { crashes } from './crash-rows.ts';
import { directTime } from './direct-time-rows.ts';
import { fullMesh } from './full-mesh-rows.ts';
import { natMatrix } from './nat-matrix-rows.ts';
import { parsePathsBenchOptions, type PathsBenchOptions } from './options.ts';
import type { PathMeasurement, PathRow } from './path-row.ts';
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

process.exitCode = await runRowsProgram<PathsBenchOptions>(
  {
    label: 'bench',
    parse: (args) => parsePathsBenchOptions(args, (chosen) => measurementsOf(chosen).flatMap(({ names }) => names)),
    begin: warnIfBusy,
    measurementsOf,
    remarksOn,
  },
  process.argv.slice(2),
);

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

function warnIfBusy(say: Say): void {
  const [load = 0] = loadavg();
  const processors = availableParallelism();
  if (load > processors / 2)
    say(`this machine has other work (load ${load} on ${processors} processors): times suffer`);
}
