import { parseBenchOptions } from '../bench/options.ts';
import { runRowsProgram } from '../bench/rows-program.ts';
import { clocks } from './clock-rows.ts';
import { coordinatorDiskFull, coordinatorKills } from './coordinator-rows.ts';
import { herd } from './herd-rows.ts';
import { agentFaults, stateFileFaults } from './disk-rows.ts';
import { halfOpen } from './half-open-rows.ts';
import { secrets } from './secret-rows.ts';
import { offlineBoots } from './offline-rows.ts';
import { soaking } from './soak-rows.ts';
import { hostilePeers } from './hostile-rows.ts';
import type { Proof, ProofRow } from './proof.ts';
import { stateStreams } from './stream-rows.ts';

/** The program behind `scripts/proof-trust`, which has the help. */

const PROOFS: readonly Proof[] = [
  stateFileFaults,
  agentFaults,
  stateStreams,
  coordinatorKills,
  coordinatorDiskFull,
  hostilePeers,
  herd,
  soaking,
  halfOpen,
  offlineBoots,
  clocks,
  secrets,
];

process.exitCode = await runRowsProgram(
  {
    label: 'proof',
    parse: (args) =>
      parseBenchOptions(
        args,
        PROOFS.flatMap(({ names }) => names),
      ),
    measurementsOf: () => PROOFS,
    remarksOn: problemsOf,
  },
  process.argv.slice(2),
);

function problemsOf(rows: readonly ProofRow[]): string {
  const problems = rows.flatMap(({ name, problem }) => (problem === undefined ? [] : [`${name}: ${problem}\n`]));
  return problems.length === 0 ? '' : `\n${problems.join('')}`;
}
