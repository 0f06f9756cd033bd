import { basename } from 'node:path';

/** The formats that can be imported. */
export const IMPORT_SOURCES = ['ipsec', 'swanctl'] as const;
export type ImportSource = (typeof IMPORT_SOURCES)[number];

/**
 * Tells an ipsec.conf from a swanctl.conf by the first line that can belong to only one of them, and by the file's
 * name when there is none, as in a file that only includes others. Undefined when neither helps.
 */
export function recogniseSource(path: string, text: string): ImportSource | undefined {
  for (const line of text.split('\n')) {
    if (/^(?:config[\t ]+setup|conn[\t ]|ca[\t ])/.test(line)) return 'ipsec';
    if (/^[\t ]*[^#{}:.,="\s]+[\t ]*[:{]/.test(line)) return 'swanctl';
    if (/^[\t ]*(?:connections|secrets|authorities|pools)[\t \r]*$/.test(line)) return 'swanctl';
  }
  return IMPORT_SOURCES.find((source) => basename(path).startsWith(source));
}
