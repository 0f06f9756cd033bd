import { parseArgs } from 'node:util';
import { STRONGSWAN_VERSIONS, type StrongswanVersion } from '../../lab/strongswan.ts';
import { parseBenchOptions, type BenchOptions } from '../options.ts';

export interface PathsBenchOptions extends BenchOptions {
  /** Default: all. */
  readonly strongswan: readonly StrongswanVersion[];
  /** Fewer and shorter runs, for a look. The goals are the same. */
  readonly quick: boolean;
}

/**
 * `scripts/bench-paths` has the help. `namesFor` tells the rows that the chosen versions give. Throws TypeError, made for
 * people, also for what is in no row's name.
 */
export function parsePathsBenchOptions(
  args: readonly string[],
  namesFor: (options: Pick<PathsBenchOptions, 'strongswan' | 'quick'>) => readonly string[],
): PathsBenchOptions {
  const { strongswan, quick, ...common } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      strongswan: { type: 'string', multiple: true, default: [...STRONGSWAN_VERSIONS] },
      quick: { type: 'boolean', default: false },
    },
  }).values;
  const own = { strongswan: strongswan.map(versionOf), quick };
  const flags = [...(common.json ? ['--json'] : []), ...(common.table ? ['--table'] : [])];
  const rows = common.only.flatMap((text) => ['--only', text]);
  return { ...parseBenchOptions([...flags, ...rows], namesFor(own)), ...own };
}

function versionOf(text: string): StrongswanVersion {
  const version = STRONGSWAN_VERSIONS.find((known) => known === text);
  if (version === undefined)
    throw new TypeError(`--strongswan: ${text} is not one of ${STRONGSWAN_VERSIONS.join(', ')}`);
  return version;
}
