import type { PingResult } from '../../src/agent/api.ts';

/** A peer that answers directly in 12.5 ms, and whose relay is not up. */
export function pingResult(): PingResult {
  return { peer: 'remote', direct: { outcome: 'answered', rttMs: 12.5 }, relay: { outcome: 'not-up' } };
}
