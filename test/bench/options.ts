import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Write one JSON object as the last line of standard output. */
  readonly json: boolean;
  /** Write a table for people, before the JSON if that is wanted too. */
  readonly table: boolean;
  /** Parts of the names of the rows to measure; empty for all. */
  readonly only: readonly string[];
}

/** `scripts/bench-vici` has the help. Throws TypeError, made for people, also for what is in no row's name. */
export function parseBenchOptions(args: readonly string[], names: readonly string[]): BenchOptions {
  const { json, table, only } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
    },
  }).values;
  const unknown = only.find((text) => !names.some((name) => name.includes(text)));
  if (unknown !== undefined) throw new TypeError(`--only: no row's name has "${unknown}" in it`);
  return { json, table: table || !json, only };
}
