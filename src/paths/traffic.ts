import type { DirectPath } from './direct-path.ts';
import type { PathHealth } from './path-probe.ts';

export interface TrafficFacts {
  readonly path: DirectPath;
  /** It is in the direct tunnel already. */
  readonly isDirect: boolean;
  /** What probes say of the relay; undefined while there is none that is up. */
  readonly relay: PathHealth | undefined;
}

/**
 * Whether a link's traffic belongs in its direct tunnel, at an end that can choose. As long as the relay works only a tunnel
 * that packets have come through will do: then both ends have it, and nothing is lost at the switch. It stays there until
 * the tunnel is given up.
 */
export function takesDirect({ path, isDirect, relay }: TrafficFacts): boolean {
  if (path.phase !== 'up') return false;
  if (isDirect || relay === undefined || relay === 'dead') return true;
  return path.proven;
}
