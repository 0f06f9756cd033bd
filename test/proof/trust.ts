import { parseBenchOptions, type BenchOptions } from '../bench/options.ts';
import { brokenRow } from '../bench/paths/path-row.ts';
import { tableOf } from '../bench/table.ts';
import { messageOf } from '../../src/errors.ts';
import { coordinatorKills } from './coordinator-rows.ts';
import { herd } from './herd-rows.ts';
import { stateFileFaults } from './disk-rows.ts';
import { halfOpen } from './half-open-rows.ts';
import { secrets } from './secret-rows.ts';
import { soaking } from './soak-rows.ts';
import { hostilePeers } from './hostile-rows.ts';
import type { Proof, ProofRow } from './proof.ts';
import { stateStreams } from './stream-rows.ts';

/** The program behind `scripts/proof-trust`, which has the help. */

const PROOFS: readonly Proof[] = [
  stateFileFaults,
  stateStreams,
  coordinatorKills,
  hostilePeers,
  herd,
  soaking,
  halfOpen,
  secrets,
];

let interrupted: string | undefined;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // The proof under way ends first, so that what it started is removed.
  process.on(name, () => (interrupted = name));
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions;
  try {
    options = parseBenchOptions(
      args,
      PROOFS.flatMap(({ names }) => names),
    );
  } catch (error) {
    say(messageOf(error));
    return 2;
  }
  const rows: ProofRow[] = [];
  for (const proof of PROOFS) rows.push(...(await prove(options, proof)));
  const ok = interrupted === undefined && rows.every((row) => row.ok);
  if (options.table) process.stdout.write(tableOf(rows) + problemsOf(rows));
  const error = interrupted && `interrupted by ${interrupted}`;
  if (options.json) process.stdout.write(`${JSON.stringify({ ok, rows, error })}\n`);
  return ok ? 0 : 1;
}

/** The rows of a proof that are asked for. One that breaks does not keep the others. */
async function prove({ only }: BenchOptions, { names, measure }: Proof): Promise<ProofRow[]> {
  const wanted = names.filter((name) => only.length === 0 || only.some((text) => name.includes(text)));
  if (wanted.length === 0 || interrupted !== undefined) return [];
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

function problemsOf(rows: readonly ProofRow[]): string {
  const problems = rows.flatMap(({ name, problem }) => (problem === undefined ? [] : [`${name}: ${problem}\n`]));
  return problems.length === 0 ? '' : `\n${problems.join('')}`;
}

function say(text: string): void {
  process.stderr.write(`proof: ${text}\n`);
}
