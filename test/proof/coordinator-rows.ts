import { fileURLToPath } from 'node:url';
import { databaseFaults } from './database-faults.ts';
import { killLoop } from './kill-loop.ts';
import { never, type Findings, type Proof } from './proof.ts';

export const COORDINATOR = fileURLToPath(new URL('../../src/bin/cygnet-coordinator.js', import.meta.url));

const KILLED = 'coordinator killed during writes';
const KILLS = 500;
/** Loops at once, each with a coordinator of its own: they mostly wait for one to start. */
const LANES = 2;

/** Applies, tokens and enrolments, and kill -9 in between. */
export const coordinatorKills: Proof = {
  names: [KILLED],
  measure: async () => {
    const loop = { program: COORDINATOR, kills: KILLS / LANES, random: Math.random };
    const all = await Promise.all(Array.from({ length: LANES }, () => killLoop(loop)));
    return [never(KILLED, 'acknowledged writes lost', joined(all))];
  },
};

const FULL = "coordinator's disk full at each system call of an apply on its database";

/** A full disk, at every system call that an apply needs of it. */
export const coordinatorDiskFull: Proof = {
  names: [FULL],
  measure: async () => [never(FULL, 'applies gone wrong', await databaseFaults(COORDINATOR))],
};

function joined(all: readonly Findings[]): Findings {
  const writes = all.map(({ seen }) => Number(seen?.['acknowledged writes'] ?? 0));
  return {
    cases: sum(all.map(({ cases }) => cases)),
    wrong: all.flatMap(({ wrong }) => wrong),
    seen: { 'acknowledged writes': sum(writes) },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
