/**
 * Whether a path carries packets, from small ones that are sent through it and answered. Pure: the caller sends what
 * {@link nextProbe} says, when {@link PathProbe.nextAtMs} has come.
 *
 * A path that works is asked once a second while it is in use or young, and now and then otherwise: seldom, when it only
 * has to be there in case it is needed. As soon as an answer is overdue it is asked seven times a second, one that nobody uses
 * once (a spare one as often as the link's other path, when that is overdue: which of the two is to be taken waits for it).
 * It is dead when nothing came back for {@link DEAD_AFTER_MS} after the first packet that was lost, so that a busy path is
 * known to be dead within two and a half seconds of its death.
 *
 * Answers are late, too, where an agent or a charon waits for a processor, be it this node's or the peer's. The link's other
 * path leads to the same two; so it shows how late answers are now. A dead path, or one that has never worked, is outdone when
 * the other one has answered a packet that was sent after {@link COMPARED_AFTER_MS} of its silence, and as much time again has
 * passed in silence.
 */
export interface PathProbe {
  readonly sinceMs: number;
  /** Number of the last packet sent; 0 before the first. */
  readonly sequence: number;
  /** The last packets, oldest first. */
  readonly recent: readonly SentProbe[];
  /** When the first of the packets was sent that nothing has come back for or after; undefined while none is out. */
  readonly unansweredSinceMs: number | undefined;
  /** Smoothed round trip, ms; undefined until the peer's agent has answered. */
  readonly rttMs: number | undefined;
  /** When something came back last; undefined before anything has. */
  readonly answeredAtMs: number | undefined;
  /** When the path is outdone unless something comes back until then; undefined while nothing speaks against it. */
  readonly outdoneAtMs: number | undefined;
  /** When {@link nextProbe} wants to hear that time has passed. */
  readonly nextAtMs: number;
}

interface SentProbe {
  readonly sequence: number;
  readonly sentAtMs: number;
  readonly isAnswered: boolean;
}

/** How a path is doing. `unknown`: nothing has ever come back; a firewall at the peer may be all that is wrong. */
export type PathHealth = 'unknown' | 'alive' | 'dead';

export type ProbeEvent =
  | { readonly type: 'time' }
  /** Do not wait for the next packet's time. */
  | { readonly type: 'due' }
  /** The peer's agent has answered. */
  | { readonly type: 'answered'; readonly sequence: number }
  /** The peer's kernel has: nobody listens there, so its agent is down. The path works all the same. */
  | { readonly type: 'refused' }
  /** The link's other path has answered a packet that was sent then. */
  | { readonly type: 'other-answered'; readonly sentAtMs: number };

/**
 * What a path is for. `busy`: others than the probes use it; `idle`: nobody does; `spare`: nobody does, and through its hub
 * go those of all other links too, whose number is the square of that of the nodes.
 */
export type PathUse = 'busy' | 'idle' | 'spare';

export interface ProbeFacts extends ProbeMoment {
  readonly use: PathUse;
  /** Paths that this node probes, both of every link. */
  readonly paths: number;
}

export interface ProbeMoment {
  /** Monotonic ms. */
  readonly nowMs: number;
  /** How much later than usual answers come now, through all paths of this kind together, ms (`lateness.ts`). */
  readonly lateMs: number;
}

/** From one packet to the next while answers come; idle and spare ones wait at least so long. */
const INTERVAL_MS: Readonly<Record<PathUse, number>> = { busy: 1000, idle: 5000, spare: 15_000 };
/** A node with many links asks all idle paths together no more than so often. */
const IDLE_PER_SECOND_MAX = 2.5;
/** A path that has just come up, and is no spare one, is watched like one in use. */
const YOUNG_MS = 10_000;
/** One that stays silent, and is no spare one, is asked like one in use for so long. */
const HOPEFUL_MS = 60_000;
const RETRY_INTERVAL_MS = 150;
/** Silence after the first lost packet, besides two round trips. */
const DEAD_AFTER_MS = 1200;
/** And so many packets that nothing came back for. */
const DEAD_PACKETS_MIN = 4;
/** Two packets before it is dead, so that the other path's answer is there by then. */
const COMPARED_AFTER_MS = 900;
/** A path through which nothing has ever come has so long. */
const NEVER_HEARD_MS = 5000;
const RECENT_MAX = 20;
/**
 * A round trip that an answer may take before it counts as overdue, in round trips and in ms; and at least so many times of what
 * answers take now.
 */
const OVERDUE = { factor: 3, leastMs: 250, mostMs: 1000, leastFactor: 1.5 } as const;
/** Share of a new round trip in the smoothed one (RFC 6298), as often as a path in use is asked. */
const RTT_GAIN = 1 / 8;

/** A probe that has sent nothing yet; its first packet is due now. */
export function newProbe(nowMs: number): PathProbe {
  return {
    sinceMs: nowMs,
    sequence: 0,
    recent: [],
    unansweredSinceMs: undefined,
    rttMs: undefined,
    answeredAtMs: undefined,
    outdoneAtMs: undefined,
    nextAtMs: nowMs,
  };
}

/** The probe after an event, and the number of the packet to send now, if any. */
export function nextProbe(
  probe: PathProbe,
  event: ProbeEvent,
  facts: ProbeFacts,
): { readonly probe: PathProbe; readonly send?: number } {
  switch (event.type) {
    case 'time':
      return facts.nowMs < probe.nextAtMs ? { probe } : sent(probe, facts);
    case 'due':
      return sent(probe, facts);
    case 'answered': {
      const answered = probe.recent.find(({ sequence }) => sequence === event.sequence);
      return { probe: answered === undefined || answered.isAnswered ? probe : heard(probe, answered, true, facts) };
    }
    case 'refused': {
      const last = probe.recent.at(-1);
      return { probe: last === undefined ? probe : heard(probe, last, false, facts) };
    }
    case 'other-answered':
      return { probe: compared(probe, event.sentAtMs, facts.nowMs) };
  }
}

function sent(probe: PathProbe, facts: ProbeFacts): { readonly probe: PathProbe; readonly send: number } {
  const { nowMs } = facts;
  const sequence = probe.sequence + 1;
  const packet = { sequence, sentAtMs: nowMs, isAnswered: false };
  const isRetry = probe.unansweredSinceMs !== undefined;
  return {
    probe: {
      ...probe,
      sequence,
      recent: [...probe.recent, packet].slice(-RECENT_MAX),
      unansweredSinceMs: probe.unansweredSinceMs ?? nowMs,
      nextAtMs: nowMs + (isRetry ? retryMs(probe, facts) : overdueMs(probe, facts.lateMs)),
    },
    send: sequence,
  };
}

/** After an answer: the next packet is due one interval after the last one was sent. */
function heard(probe: PathProbe, packet: SentProbe, isTimed: boolean, facts: ProbeFacts): PathProbe {
  const { nowMs, use } = facts;
  const isYoung = use !== 'spare' && nowMs - probe.sinceMs < YOUNG_MS;
  const lastSentMs = probe.recent.at(-1)?.sentAtMs ?? nowMs;
  return {
    ...probe,
    recent: probe.recent.map((each) => (each.sequence === packet.sequence ? { ...each, isAnswered: true } : each)),
    unansweredSinceMs: undefined,
    rttMs: isTimed ? smoothedMs(probe, nowMs - packet.sentAtMs, nowMs) : probe.rttMs,
    answeredAtMs: nowMs,
    outdoneAtMs: undefined,
    nextAtMs: lastSentMs + (isYoung ? INTERVAL_MS.busy : intervalMs(facts)),
  };
}

/**
 * A short round trip counts for all the time since the last one: what was seen while all was slow would stand for minutes on
 * a path that is seldom asked. A long one counts once: it may be a single packet's.
 */
function smoothedMs({ rttMs, answeredAtMs = -Infinity }: PathProbe, lastMs: number, nowMs: number): number {
  if (rttMs === undefined) return lastMs;
  const times = lastMs < rttMs ? Math.max(1, Math.floor((nowMs - answeredAtMs) / INTERVAL_MS.busy)) : 1;
  return lastMs + (1 - RTT_GAIN) ** times * (rttMs - lastMs);
}

/** Answers that have waited for a processor come in a crowd, in any order. */
function compared(probe: PathProbe, sentAtMs: number, nowMs: number): PathProbe {
  const { unansweredSinceMs = Infinity, outdoneAtMs, nextAtMs } = probe;
  if (outdoneAtMs !== undefined || sentAtMs < unansweredSinceMs + COMPARED_AFTER_MS) return probe;
  const atMs = nowMs + Math.max(OVERDUE.leastMs, nowMs - sentAtMs);
  return { ...probe, outdoneAtMs: atMs, nextAtMs: Math.min(nextAtMs, atMs) };
}

/** Half of the paths are direct ones, and spare ones have their turn a third as often. */
function intervalMs({ use, paths }: ProbeFacts): number {
  if (use === 'busy') return INTERVAL_MS.busy;
  const idleTurnMs = ((paths / 2) * 1000) / IDLE_PER_SECOND_MAX;
  return INTERVAL_MS[use] * Math.max(1, idleTurnMs / INTERVAL_MS.idle);
}

/**
 * In a hurry only until it is certain that a path has died; one that stays silent is asked as seldom as an idle one, all of
 * which together take turns. Where answers take long, and on paths that nobody uses, more haste would only add to the load that
 * may be what makes them late.
 */
function retryMs(probe: PathProbe, facts: ProbeFacts): number {
  const { nowMs, use, lateMs } = facts;
  const takesMs = (probe.rttMs ?? 0) + lateMs;
  if (probe.answeredAtMs !== undefined && healthOf(probe, nowMs) === 'alive')
    return use === 'busy' ? Math.max(RETRY_INTERVAL_MS, takesMs / 2) : Math.max(INTERVAL_MS.busy, takesMs);
  if (use !== 'spare' && silentMs(probe, nowMs) < HOPEFUL_MS) return Math.max(INTERVAL_MS.busy, takesMs);
  return use === 'busy' ? INTERVAL_MS.idle : intervalMs({ ...facts, use: 'idle' });
}

function overdueMs({ rttMs }: PathProbe, lateMs: number): number {
  const { factor, leastMs, mostMs, leastFactor } = OVERDUE;
  const usualMs = Math.min(mostMs, Math.max(leastMs, factor * (rttMs ?? mostMs)));
  return Math.max(usualMs, leastFactor * ((rttMs ?? 0) + lateMs));
}

/** By how much the answer to this packet is later than usual when it comes now, ms; undefined while nothing is usual. */
export function lateBy({ recent, rttMs }: PathProbe, packet: number, nowMs: number): number | undefined {
  const sent = recent.find(({ sequence }) => sequence === packet);
  return sent === undefined || sent.isAnswered || rttMs === undefined ? undefined : nowMs - sent.sentAtMs - rttMs;
}

/** For how many packets more an answer has not come in time, on a path that has worked; 0 when all is well. */
export function overdueFor(probe: PathProbe): number {
  return probe.answeredAtMs === undefined ? 0 : Math.max(0, unanswered(probe) - 1);
}

/**
 * Since when the link's other path has to have answered a packet; undefined while nothing is to be learnt from it. One answer
 * tells whether this path has died or all have; when this one has been silent for long, it takes another one.
 */
export function comparedSinceMs(probe: PathProbe, nowMs: number): number | undefined {
  const { unansweredSinceMs, answeredAtMs } = probe;
  if (unansweredSinceMs === undefined) return undefined;
  const silentForMs = nowMs - unansweredSinceMs;
  if (answeredAtMs === undefined ? silentForMs < NEVER_HEARD_MS : overdueFor(probe) === 0) return undefined;
  return silentForMs < COMPARED_AFTER_MS ? unansweredSinceMs : unansweredSinceMs + COMPARED_AFTER_MS;
}

/**
 * Whether nothing was sent since then that has been answered, and the last packet is not too young for another one. Where
 * answers take long, or one has been due for long, there is time: when all is late, all ask.
 */
export function isWorthAsking(probe: PathProbe, sinceMs: number, { nowMs, lateMs }: ProbeMoment): boolean {
  const gapMs = Math.max((probe.rttMs ?? 0) + lateMs, silentMs(probe, nowMs)) / 2;
  return answeredSentAtMs(probe) < sinceMs && sentForMs(probe, nowMs) >= gapMs && !hasJustSent(probe, nowMs);
}

/** Whether the peer, which asks through this path now, may have been given up here, and nothing was asked just now. */
export function isWorthAskingBack(probe: PathProbe, nowMs: number): boolean {
  return healthOf(probe, nowMs) !== 'alive' && sentForMs(probe, nowMs) >= INTERVAL_MS.busy;
}

/** Whether a packet now would be one beside another that has just gone out. */
export function hasJustSent(probe: PathProbe, nowMs: number): boolean {
  return sentForMs(probe, nowMs) < RETRY_INTERVAL_MS / 2;
}

function sentForMs({ recent }: PathProbe, nowMs: number): number {
  return nowMs - (recent.at(-1)?.sentAtMs ?? -Infinity);
}

/** When the newest of the packets was sent that something has come back for; -Infinity when there is none. */
export function answeredSentAtMs({ recent }: PathProbe): number {
  return recent.findLast(({ isAnswered }) => isAnswered)?.sentAtMs ?? -Infinity;
}

/** Whether nothing is out, and the last packet has been a while ago. */
export function isIdle({ unansweredSinceMs, recent }: PathProbe, nowMs: number): boolean {
  return unansweredSinceMs === undefined && nowMs - (recent.at(-1)?.sentAtMs ?? nowMs) >= RETRY_INTERVAL_MS;
}

/** How the path is doing now. */
export function healthOf(probe: PathProbe, nowMs: number): PathHealth {
  if (probe.answeredAtMs === undefined) return 'unknown';
  const isSilent = silentMs(probe, nowMs) >= DEAD_AFTER_MS + 2 * (probe.rttMs ?? 0);
  return isSilent && unanswered(probe) >= DEAD_PACKETS_MIN ? 'dead' : 'alive';
}

/** Whether nothing comes through the path, or ever has, while answers through the link's other path are not so late. */
export function isOutdone(probe: PathProbe, nowMs: number): boolean {
  if (nowMs < (probe.outdoneAtMs ?? Infinity)) return false;
  const health = healthOf(probe, nowMs);
  return health === 'dead' || (health === 'unknown' && silentMs(probe, nowMs) >= NEVER_HEARD_MS);
}

/** Packets that were sent since nothing came back any more: a process that was not running itself has sent none. */
function unanswered({ unansweredSinceMs = Infinity, recent }: PathProbe): number {
  return recent.filter(({ sentAtMs }) => sentAtMs >= unansweredSinceMs).length;
}

/** For how long nothing has come back, counted from the first packet that it might have come back for; 0 when all is well. */
export function silentMs({ unansweredSinceMs }: PathProbe, nowMs: number): number {
  return unansweredSinceMs === undefined ? 0 : nowMs - unansweredSinceMs;
}

/** How many of the last packets were sent since `atMs`, and are overdue. */
export function lostSince(probe: PathProbe, atMs: number, { nowMs, lateMs }: ProbeMoment): number {
  const isLost = ({ sentAtMs, isAnswered }: SentProbe): boolean =>
    !isAnswered && sentAtMs >= atMs && nowMs - sentAtMs >= overdueMs(probe, lateMs);
  return probe.recent.filter(isLost).length;
}

/** Share of the last packets that were lost, 0 to 1; undefined before there is one whose answer is overdue or there. */
export function lossOf(probe: PathProbe, nowMs: number): number | undefined {
  const settled = probe.recent.filter(({ isAnswered, sentAtMs }) => isAnswered || nowMs - sentAtMs >= OVERDUE.mostMs);
  if (settled.length === 0) return undefined;
  return settled.filter(({ isAnswered }) => !isAnswered).length / settled.length;
}
