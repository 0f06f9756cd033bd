import type { HubRepairsDeps } from '../../src/agent/hub-repairs.ts';
import type { Clock } from '../../src/clock.ts';

/** Hubs that answer strangers, or do not. */
export function repairDeps(clock: Clock, change: Partial<HubRepairsDeps> = {}): HubRepairsDeps {
  return { clock, random: () => 0, knock: () => Promise.resolve(true), onAnswer: () => undefined, ...change };
}
