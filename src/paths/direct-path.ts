import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import type { PathCause } from './path-cause.ts';

/**
 * The direct path of one link. charon tells of no failed mediation and of no dead tunnel, so this is decided by what is
 * seen, by probes and by time:
 *
 *     idle --initiated--> trying --SA gone, stuck, or too long--> resting --time, or the network changed--> idle
 *       \______SA up______/ \____________SA up____________/ \_____SA up_____> up
 *                 up --SA gone--> resting   up --probes silent, or on command--> ending --SA gone--> resting
 *
 * `lost`: it has worked before, and was then lost; its tries are closer together.
 */
export type DirectPath =
  | { readonly phase: 'idle'; readonly failures: number; readonly lost: boolean }
  | { readonly phase: 'trying'; readonly failures: number; readonly lost: boolean; readonly sinceMs: number }
  | { readonly phase: 'resting'; readonly failures: number; readonly lost: boolean; readonly untilMs: number }
  /** `proven`: packets have come through. Until then what failed before still counts. */
  | { readonly phase: 'up'; readonly failures: number; readonly lost: boolean; readonly proven: boolean }
  /**
   * Given up, so that traffic takes the relay. Its IKE SAs are abandoned from `abandonAtMs` on (monotonic): at once when
   * nothing comes through, and otherwise only if the peer, which is told, has not ended them by then.
   */
  | {
      readonly phase: 'ending';
      readonly failures: number;
      readonly lost: boolean;
      readonly ikeSaIds: readonly number[];
      readonly abandonAtMs: number;
    };

export type DirectPathEvent =
  /** This node has asked charon to initiate. */
  | { readonly type: 'initiated' }
  /** What charon shows: no IKE SA, or one without its CHILD SA. */
  | { readonly type: 'observed'; readonly sa: 'none' | 'pending' }
  /** charon shows the CHILD SA as installed, in these IKE SAs (more than one for a moment, when both ends were quick). */
  | { readonly type: 'observed'; readonly sa: 'up'; readonly ikeSaIds: readonly number[] }
  /** Packets come through. */
  | { readonly type: 'proven' }
  /** Nothing comes through these IKE SAs, any more or at all. */
  | { readonly type: 'silent'; readonly ikeSaIds: readonly number[] }
  /** The operator wants another tunnel than the one through these IKE SAs, which works. */
  | { readonly type: 'reconnect'; readonly ikeSaIds: readonly number[] }
  /** charon's log shows that the try which is under way can come to nothing any more. */
  | { readonly type: 'stuck' }
  /** It is this node's turn, but charon holds on to an earlier try that hangs: only the other end can set the path up now. */
  | { readonly type: 'blocked' }
  /** This node's addresses or routes are others now: what failed before may work. */
  | { readonly type: 'network-changed' };

export interface DirectPathFacts {
  /** Monotonic ms. */
  readonly nowMs: number;
  readonly random: () => number;
  /**
   * Ms after which a try with an IKE SA has failed (`set-up-pace.ts`). Then the peer should try: when the mediator passes
   * the peer's answer on before charon has seen its own request confirmed, charon drops it ("checklist not found") and
   * this end waits for ever.
   */
  readonly patienceMs: number;
  /** What a try that fails now has failed by, as far as anybody knows. */
  readonly cause: PathCause | undefined;
}

export const NEW_DIRECT_PATH: DirectPath = { phase: 'idle', failures: 0, lost: false };

/** An initiate is queued in charon, so its IKE SA takes a moment to appear. */
const APPEARS_MAX_MS = 3000;

/** The peer's charon went away, or the mediator said no. */
const REST_AFTER_NONE: BackoffPolicy = { baseMs: 4000, maxMs: 300_000 };

/**
 * Checks came to nothing. Never less than 40 s: a NAT router forgets a mapping that was not answered after 30 s (Linux's
 * conntrack), and until then the same wrong mapping would defeat the next try too.
 */
const REST_AFTER_PENDING: BackoffPolicy = { baseMs: 80_000, maxMs: 300_000 };

/**
 * The path has worked, so whatever stops it may well pass. A try has charon send checks for a minute, further and further
 * apart; the ends try in turns, so that one of them has fresh ones.
 */
const REST_WHEN_LOST: BackoffPolicy = { baseMs: 8000, maxMs: 30_000 };
/** Both ends have noticed by then, and are registered at the mediator with the addresses that they have now. */
const LOST_REST_MS = 1500;

/**
 * How long a peer has to end a tunnel that this end gives up though it works. Who ends an IKE SA cuts off what the other
 * end still sends through it: the peer stops sending before it ends it, and this end has stopped before it tells the peer.
 */
const PEER_ENDS_MS = 2000;

/** After so many tries in vain a path that was lost is one like any other. */
const LOST_TRIES_MAX = 8;

/** Two symmetric NATs do not change their ways from one minute to the next. */
const REST_HOPELESS: BackoffPolicy = { baseMs: 1_200_000, maxMs: 3_600_000 };

/** The other end or the configuration has to change first. */
const REST_REFUSED: BackoffPolicy = { baseMs: 60_000, maxMs: 600_000 };

/** Pure transition; times are monotonic ms. */
export function nextDirectPath(path: DirectPath, event: DirectPathEvent, facts: DirectPathFacts): DirectPath {
  switch (event.type) {
    case 'initiated':
      if (path.phase === 'ending') return path;
      return { phase: 'trying', failures: path.failures, lost: path.lost, sinceMs: facts.nowMs };
    case 'silent':
      return path.phase === 'up' ? silenced(path, event.ikeSaIds, facts) : path;
    case 'reconnect':
      return path.phase === 'up' ? givenUp(event.ikeSaIds, facts) : path;
    case 'proven':
      return path.phase === 'up' && !path.proven ? { phase: 'up', failures: 0, lost: false, proven: true } : path;
    case 'stuck':
      return path.phase === 'trying' ? failed(path, 'none', facts) : path;
    case 'blocked':
      return path.phase === 'idle' ? failed(path, 'none', facts) : path;
    case 'network-changed':
      return path.phase === 'resting' ? { phase: 'idle', failures: 0, lost: path.lost } : path;
    case 'observed':
      return event.sa === 'up' ? seenUp(path, event.ikeSaIds) : notUp(path, event.sa, facts);
  }
}

/** IKE SAs that this end is to abandon now. */
export function abandonedAt(path: DirectPath, nowMs: number): readonly number[] {
  return path.phase === 'ending' && nowMs >= path.abandonAtMs ? path.ikeSaIds : [];
}

/** Monotonic ms at which time alone may change the path, or what is to be done about it, if it ever does: look again then. */
export function changesAtMs(
  path: DirectPath,
  { nowMs, patienceMs }: Pick<DirectPathFacts, 'nowMs' | 'patienceMs'>,
): number | undefined {
  switch (path.phase) {
    case 'resting':
      return path.untilMs;
    case 'trying':
      return path.sinceMs + patienceMs;
    case 'ending':
      return nowMs < path.abandonAtMs ? path.abandonAtMs : undefined;
    case 'idle':
    case 'up':
      return undefined;
  }
}

/** A path that ends is up again only by another SA. */
function seenUp(path: DirectPath, ikeSaIds: readonly number[]): DirectPath {
  if (path.phase === 'up') return path;
  if (path.phase === 'ending' && ikeSaIds.every((id) => path.ikeSaIds.includes(id))) return path;
  return { phase: 'up', failures: path.failures, lost: path.lost, proven: false };
}

/** A tunnel that never carried anything is a try that failed: the next one will hardly do better at once. */
function silenced(
  { failures, proven }: DirectPath & { readonly phase: 'up' },
  ikeSaIds: readonly number[],
  { nowMs }: DirectPathFacts,
): DirectPath {
  return { phase: 'ending', failures: proven ? 0 : failures + 1, lost: proven, ikeSaIds, abandonAtMs: nowMs };
}

/** The next one is tried as soon as one that was lost, whatever is known of this one. */
function givenUp(ikeSaIds: readonly number[], { nowMs }: DirectPathFacts): DirectPath {
  return { phase: 'ending', failures: 0, lost: true, ikeSaIds, abandonAtMs: nowMs + PEER_ENDS_MS };
}

function notUp(path: DirectPath, sa: 'none' | 'pending', facts: DirectPathFacts): DirectPath {
  switch (path.phase) {
    case 'up': {
      if (path.proven) return { phase: 'resting', failures: 0, lost: true, untilMs: facts.nowMs + LOST_REST_MS };
      const failures = path.failures + 1;
      const untilMs = facts.nowMs + restOf(REST_AFTER_NONE, failures, facts);
      return { phase: 'resting', failures, lost: path.lost, untilMs };
    }
    case 'ending': {
      const { failures, lost } = path;
      const restMs = lost ? LOST_REST_MS : restOf(REST_AFTER_PENDING, failures, facts);
      return { phase: 'resting', failures, lost, untilMs: facts.nowMs + restMs };
    }
    case 'idle':
      return path;
    case 'trying':
      return facts.nowMs - path.sinceMs >= (sa === 'none' ? APPEARS_MAX_MS : facts.patienceMs)
        ? failed(path, sa, facts)
        : path;
    case 'resting':
      return facts.nowMs >= path.untilMs ? { phase: 'idle', failures: path.failures, lost: path.lost } : path;
  }
}

function failed(path: DirectPath, sa: 'none' | 'pending', facts: DirectPathFacts): DirectPath {
  const failures = path.failures + 1;
  const lost = path.lost && failures < LOST_TRIES_MAX;
  const restMs = restOf(restAfter(sa, lost, facts.cause), failures, facts);
  return { phase: 'resting', failures, lost, untilMs: facts.nowMs + restMs };
}

/** Never less than half of the policy's ceiling. */
function restOf(policy: BackoffPolicy, failures: number, { random }: DirectPathFacts): number {
  return backoffMs(failures, policy, () => 0.5 + random() / 2);
}

function restAfter(sa: 'none' | 'pending', lost: boolean, cause: PathCause | undefined): BackoffPolicy {
  switch (cause) {
    case 'symmetric-nat':
      return lost ? REST_WHEN_LOST : REST_HOPELESS;
    case 'auth-failed':
    case 'no-proposal':
    case 'ts-unacceptable':
    case 'peer-refused':
      return REST_REFUSED;
    case 'peer-offline':
    case 'mediator-unreachable':
    case 'udp-blocked':
    case 'stuck-in-charon':
    case 'path-silent':
    case undefined:
      if (lost) return REST_WHEN_LOST;
      return sa === 'none' ? REST_AFTER_NONE : REST_AFTER_PENDING;
  }
}
