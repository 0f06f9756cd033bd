import { backoffMs, type BackoffPolicy } from '../backoff.ts';

/**
 * The set-up of one link's direct path. charon tells of no failed mediation, so this is decided by what is seen and
 * by time:
 *
 *     idle --initiated--> trying --SA gone, or too long--> resting --time--> idle
 *       \______SA up______/ \____________SA up____________/ \___SA up___> up --SA gone--> idle
 */
export type DirectPath =
  | { readonly phase: 'idle'; readonly failures: number }
  | { readonly phase: 'trying'; readonly failures: number; readonly sinceMs: number }
  | { readonly phase: 'resting'; readonly failures: number; readonly untilMs: number }
  | { readonly phase: 'up'; readonly failures: 0 };

export type DirectPathEvent =
  /** This node has asked charon to initiate. */
  | { readonly type: 'initiated' }
  /** What charon shows: no IKE SA, one without its CHILD SA, or one that has it installed. */
  | { readonly type: 'observed'; readonly sa: 'none' | 'pending' | 'up' };

export interface DirectPathFacts {
  /** Monotonic ms. */
  readonly nowMs: number;
  readonly random: () => number;
}

export const NEW_DIRECT_PATH: DirectPath = { phase: 'idle', failures: 0 };

/**
 * Ms after which a try has failed. An initiate is queued in charon, so its IKE SA takes a moment to appear. Checks that
 * work take little more than a second; then the peer should try: when the mediator passes the peer's answer on before
 * charon has seen its own request confirmed, charon drops it ("checklist not found") and this end waits for ever.
 */
const TRY_MAX_MS = { none: 3000, pending: 6000 } as const;

/** The peer's charon went away, or the mediator said no. */
const REST_AFTER_NONE: BackoffPolicy = { baseMs: 4000, maxMs: 300_000 };

/**
 * Checks came to nothing. Never less than 40 s: a NAT router forgets a mapping that was not answered after 30 s (Linux's
 * conntrack), and until then the same wrong mapping would defeat the next try too.
 */
const REST_AFTER_PENDING: BackoffPolicy = { baseMs: 80_000, maxMs: 300_000 };

/** Pure transition; times are monotonic ms. */
export function nextDirectPath(path: DirectPath, event: DirectPathEvent, facts: DirectPathFacts): DirectPath {
  if (event.type === 'initiated') return { phase: 'trying', failures: path.failures, sinceMs: facts.nowMs };
  if (event.sa === 'up') return path.phase === 'up' ? path : { phase: 'up', failures: 0 };
  switch (path.phase) {
    case 'up':
      return NEW_DIRECT_PATH;
    case 'idle':
      return path;
    case 'trying':
      return facts.nowMs - path.sinceMs >= TRY_MAX_MS[event.sa] ? failed(path.failures + 1, event.sa, facts) : path;
    case 'resting':
      return facts.nowMs >= path.untilMs ? { phase: 'idle', failures: path.failures } : path;
  }
}

function failed(failures: number, sa: 'none' | 'pending', { nowMs, random }: DirectPathFacts): DirectPath {
  const policy = sa === 'none' ? REST_AFTER_NONE : REST_AFTER_PENDING;
  return { phase: 'resting', failures, untilMs: nowMs + backoffMs(failures, policy, () => 0.5 + random() / 2) };
}
