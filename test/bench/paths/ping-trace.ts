import type { PingReply } from '../../lab/ping.ts';

/** An answer that passed no router on its way: it came through a tunnel between the two nodes. A hub is a router. */
const DIRECT_TTL = 64;
/** Answers in a row that count as a flow, and how much later than asked for one may come. */
const FLOW_REPLIES = 10;
const LATE_MS = 250;

/** One ping's answers, in the order in which they came. */
export interface PingTrace {
  readonly replies: readonly PingReply[];
  readonly intervalMs: number;
}

export function isDirect({ ttl }: PingReply): boolean {
  return ttl === DIRECT_TTL;
}

/** The last answers have come one after the other, until now. */
export function isFlowing({ replies, intervalMs }: PingTrace, nowMs: number): boolean {
  const last = replies.slice(-FLOW_REPLIES);
  return last.length === FLOW_REPLIES && !hasGap([...last.map(({ atMs }) => atMs), nowMs], intervalMs);
}

/** {@link isFlowing}, and all of these answers came directly. */
export function isFlowingDirectly(trace: PingTrace, nowMs: number): boolean {
  return isFlowing(trace, nowMs) && trace.replies.slice(-FLOW_REPLIES).every(isDirect);
}

/** How long after `sinceMs` the last gap in the answers ended, in ms; 0 when there was none. To be asked of a flow. */
export function outageMs({ replies, intervalMs }: PingTrace, sinceMs: number): number {
  const first = replies.findLastIndex(({ atMs }) => atMs <= sinceMs);
  const times = replies.slice(Math.max(0, first)).map(({ atMs }) => atMs);
  const end = times.findLast((atMs, index) => index > 0 && hasGap([times[index - 1] ?? atMs, atMs], intervalMs));
  return end === undefined ? 0 : Math.max(0, end - sinceMs);
}

/** When the answers became direct for good, ms since the epoch; undefined while they are not. */
export function directSinceMs({ replies }: PingTrace): number | undefined {
  const lastOther = replies.findLastIndex((reply) => !isDirect(reply));
  return replies[lastOther + 1]?.atMs;
}

/** When each packet without an answer was sent, in ms since the epoch, as far as the answers around it tell. */
export function lostAtMs({ replies, intervalMs }: PingTrace): readonly number[] {
  return replies.flatMap(({ sequence }, index) => {
    const before = replies[index - 1];
    if (before === undefined) return [];
    const missing = Math.max(0, sequence - before.sequence - 1);
    return Array.from({ length: missing }, (_, lost) => before.atMs + (lost + 1) * intervalMs);
  });
}

function hasGap(times: readonly number[], intervalMs: number): boolean {
  return times.some((atMs, index) => index > 0 && atMs - (times[index - 1] ?? atMs) > intervalMs + LATE_MS);
}
