import type { LinkReport } from '../agent/api.ts';
import { formatAge } from './age.ts';
import type { Paint, Style } from './style.ts';
import type { Cell } from './table.ts';

/** Headings of {@link pathCells}. */
export const PATH_HEADINGS = ['LINK TO', 'PATH', 'FOR', 'DIRECT', 'RELAY'] as const;

/** Where a link leads, its path and since when, and how both paths do. `atMs`: when that was so. */
export function pathCells(link: LinkReport, atMs: number, style: Style): readonly Cell[] {
  return [
    link.peer,
    { text: link.path, paint: pathPaint(link.path, style) },
    link.sinceMs === null ? '' : formatAge((atMs - link.sinceMs) / 1000),
    readingText(link.direct),
    readingText(link.relay),
  ];
}

/** What probes say of a path, in a few words: `2.4 ms`, `2.4 ms, 5 % lost`, `dead`. */
function readingText(reading: LinkReport['direct']): string {
  if (reading === null) return '-';
  if (reading.health === 'dead') return 'dead';
  if (reading.health === 'unknown') return 'no answer yet';
  const rtt = reading.rttMs === null ? 'works' : `${reading.rttMs.toFixed(1)} ms`;
  const lost = Math.round((reading.loss ?? 0) * 100);
  return lost === 0 ? rtt : `${rtt}, ${lost} % lost`;
}

function pathPaint(path: LinkReport['path'], style: Style): Paint {
  return { direct: style.good, relay: style.warn, none: style.bad, unknown: style.dim }[path];
}
