import type { StrongswanVersion } from '../../lab/strongswan.ts';
import type { TopologyOptions } from '../../lab/topology.ts';
import { LabError } from '../../lab/run.ts';
import { waitFor } from '../../lab/wait-for.ts';
import type { Say } from '../row.ts';
import { isFlowingDirectly, isDirect } from './ping-trace.ts';
import type { PathMeasurement, PathRow } from './path-row.ts';
import { ENDS, Scene, type End, type EndLink, type ScenePing } from './scene.ts';

/** What each end has in front of it. `double NAT` is two cones. */
const SIDES = ['none', 'cone', 'symmetric', 'udp-blocked', 'double NAT'] as const;
export type Side = (typeof SIDES)[number];
/** Both ends behind one router, a cone. */
type SidePair = readonly [Side, Side] | 'same NAT';

const PING_INTERVAL_MS = 50;
const FIRST_PACKET_MS = 60_000;
/** A try that came to nothing on 6.0, the turn of the other end and its try are in it. */
const DIRECT_MS = 90_000;
const CAUSE_MS = 90_000;

/** A row for each pair of sides: which path the link takes, how fast, and why it is not the direct one. */
export function natMatrix(strongswan: StrongswanVersion): readonly PathMeasurement[] {
  return sidePairs().map((pair) => {
    const name = `path, ${textOf(pair)}, ${strongswan}`;
    return { names: [name], measure: async (say) => [await measure(name, pair, strongswan, say)] };
  });
}

function sidePairs(): readonly SidePair[] {
  const pairs = SIDES.flatMap((a, index) => SIDES.slice(index).map((b) => [a, b] as const));
  return [...pairs, 'same NAT'];
}

/**
 * The cause that a link cannot go direct; undefined when it should. A cone lets in only what comes from where its node
 * has sent to, and a symmetric NAT sends from where nobody can know. One without a NAT takes what comes. Where a symmetric
 * NAT alone is reason enough, nobody can see that packets are dropped as well.
 */
export function expectedCause(sides: readonly [Side, Side]): 'udp-blocked' | 'symmetric-nat' | undefined {
  if (sides.includes('symmetric') && !sides.includes('none')) return 'symmetric-nat';
  return sides.includes('udp-blocked') ? 'udp-blocked' : undefined;
}

/** Each end has its own view: what it sees itself, what the coordinator says of the peer, and what has come of its tries. */
export function isNamedByBoth(links: readonly (EndLink | undefined)[], cause: string): boolean {
  return links.every((link) => link?.cause === cause);
}

async function measure(name: string, pair: SidePair, strongswan: StrongswanVersion, say: Say): Promise<PathRow> {
  const cause = pair === 'same NAT' ? undefined : expectedCause(pair);
  await using scene = await Scene.create({ strongswan, ...topologyOptionsOf(pair) });
  const pings = await Promise.all(ENDS.map((end) => scene.ping(end, PING_INTERVAL_MS)));
  const allowedMs = await scene.allow();
  const firstPacketMs = await firstPacket(pings, allowedMs);
  const links = await settled(scene, pings, cause);
  const directMs = await firstDirect(pings, allowedMs);
  const seen = {
    path: links.map((link) => link?.path ?? 'none').join(' and '),
    cause: links.map((link) => link?.cause ?? '-').join(' and '),
    firstPacketMs,
    directMs,
  };
  say(`${name}: ${JSON.stringify(seen)}`);
  const isDirectLink = links.every((link) => link?.path === 'direct') && directMs !== null;
  const isRelayed = links.every((link) => link?.path === 'relay') && directMs === null && firstPacketMs !== null;
  const ok = cause === undefined ? isDirectLink : isRelayed && isNamedByBoth(links, cause);
  const ours = (cause === undefined ? directMs : firstPacketMs) ?? Number.NaN;
  const goal = cause === undefined ? 'direct' : `relay, ${cause}`;
  return { name, unit: 'ms', runs: 1, ours, other: null, ratio: null, goal, ok, seen };
}

/** Ms from then until the first answer at either end; null when none came. */
async function firstPacket(pings: readonly ScenePing[], allowedMs: number): Promise<number | null> {
  const first = async (): Promise<number> =>
    Math.min(
      ...(await Promise.all(pings.map(({ trace }) => trace()))).map(({ replies }) => replies[0]?.atMs ?? Infinity),
    );
  return waitFor({ what: 'a packet', observe: first, until: Number.isFinite, timeoutMs: FIRST_PACKET_MS }).then(
    (atMs) => Math.round(atMs - allowedMs),
    () => null,
  );
}

/** Ms from then until answers have come directly at both ends; null when they have not. */
async function firstDirect(pings: readonly ScenePing[], allowedMs: number): Promise<number | null> {
  const traces = await Promise.all(pings.map(({ trace }) => trace()));
  const atMs = Math.max(...traces.map(({ replies }) => replies.find(isDirect)?.atMs ?? Infinity));
  return Number.isFinite(atMs) ? Math.round(atMs - allowedMs) : null;
}

/** What both ends say once it is as expected, or, when the time for that is over, what they say then. */
async function settled(
  scene: Scene,
  pings: readonly ScenePing[],
  cause: string | undefined,
): Promise<readonly (EndLink | undefined)[]> {
  const isDirectNow = async (): Promise<boolean> => {
    const traces = await Promise.all(pings.map(({ trace }) => trace()));
    return traces.every((trace) => isFlowingDirectly(trace, Date.now()));
  };
  try {
    const wait = waitFor({
      what: cause ?? 'a direct path',
      observe: async () => ({ links: await scene.links(), flowing: await isDirectNow() }),
      until: ({ links, flowing }) =>
        cause === undefined ? flowing && links.every((link) => link?.path === 'direct') : isNamedByBoth(links, cause),
      timeoutMs: cause === undefined ? DIRECT_MS : CAUSE_MS,
      intervalMs: 500,
    });
    const { links } = await scene.explained(wait);
    return links;
  } catch (error) {
    if (error instanceof LabError && error.code === 'not-in-time') return scene.links();
    throw error;
  }
}

function topologyOptionsOf(pair: SidePair): TopologyOptions {
  if (pair === 'same NAT') return { sameNat: { remote: 'edge1' } };
  const sides = ENDS.map((end, index): [End, Side] => [end, pair[index] ?? 'cone']);
  return {
    nat: Object.fromEntries(sides.map(([end, side]) => [end, side === 'double NAT' ? 'cone' : side])),
    doubleNat: sides.filter(([, side]) => side === 'double NAT').map(([end]) => end),
  };
}

function textOf(pair: SidePair): string {
  return typeof pair === 'string' ? pair : pair.join(' / ');
}
