import type { LinkReport } from '../agent/api.ts';
import type { Paint, Style } from './style.ts';

/** What probes say of a path, in a few words: `2.4 ms`, `2.4 ms, 5 % lost`, `dead`. */
export function readingText(reading: LinkReport['direct']): string {
  if (reading === null) return '-';
  if (reading.health === 'dead') return 'dead';
  if (reading.health === 'unknown') return 'no answer yet';
  const rtt = reading.rttMs === null ? 'works' : `${reading.rttMs.toFixed(1)} ms`;
  const lost = Math.round((reading.loss ?? 0) * 100);
  return lost === 0 ? rtt : `${rtt}, ${lost} % lost`;
}

/** The colour of a path's name. */
export function pathPaint(path: LinkReport['path'], style: Style): Paint {
  return { direct: style.good, relay: style.warn, none: style.bad, unknown: style.dim }[path];
}
