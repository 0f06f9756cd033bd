import type { PathMeasurement, PathRow } from '../bench/paths/path-row.ts';

/** A row of the proof, and rows that are proved together. They read like those of the benchmarks. */
export type ProofRow = PathRow;
export type Proof = PathMeasurement;

/** What went wrong in some number of cases, in words. */
export interface Findings {
  readonly cases: number;
  /** One for each case that went wrong. */
  readonly wrong: readonly string[];
  /** What was seen beside it, by name. */
  readonly seen?: ProofRow['seen'];
}

/** Findings named in a row; the rest is only counted. */
const NAMED_MAX = 5;

/** A row for what must never happen. */
export function never(name: string, unit: string, { cases, wrong, seen }: Findings): ProofRow {
  const figures = { unit, runs: cases, ours: wrong.length, other: null, ratio: null };
  // Without a case nothing was proved.
  const ok = cases > 0 && wrong.length === 0;
  const problem = cases > 0 ? wrong.slice(0, NAMED_MAX).join('; ') : 'there was no case to look at';
  return {
    name,
    ...figures,
    goal: `0 ${unit}`,
    ok,
    ...(seen !== undefined && { seen }),
    ...(!ok && { problem }),
  };
}
