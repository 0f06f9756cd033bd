import type { Row, Say } from '../row.ts';

/** A row that may say more than its figure. */
export interface PathRow extends Row {
  /** What was seen beside it, by name. */
  readonly seen?: Readonly<Record<string, string | number | null>>;
  /** Why it could not be measured. */
  readonly problem?: string;
}

/** Rows that are measured together; those of one lab. */
export interface PathMeasurement {
  /** Names of its rows. */
  readonly names: readonly string[];
  /** In the order of the names. */
  readonly measure: (say: Say) => Promise<readonly PathRow[]>;
}

/** A row that was to be measured, and something came in between. */
export function brokenRow(name: string, problem: string): PathRow {
  return { name, unit: '', runs: 0, ours: Number.NaN, other: null, ratio: null, goal: 'measured', ok: false, problem };
}
