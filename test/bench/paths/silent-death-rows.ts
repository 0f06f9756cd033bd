import { setTimeout as sleep } from 'node:timers/promises';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { LabError } from '../../lab/run.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { limit, median, type Say } from '../row.ts';
import type { PathMeasurement, PathRow } from './path-row.ts';
import { directSinceMs, isFlowing, isFlowingDirectly, outageMs, type PingTrace } from './ping-trace.ts';
import { ENDS, otherEndOf, Scene, type End, type ScenePing } from './scene.ts';

const DEATHS = { full: 30, quick: 8 } as const;
const OUTAGE_MEDIAN_MS_MAX = 3000;
const OUTAGE_WORST_MS_MAX = 5000;
const DIRECT_AGAIN_MS_MAX = 15_000;

const PING_INTERVAL_MS = 100;
/** An outage begins with the harm, within a ping or two. One that has not begun by now does not come. */
const WATCH_MS = 3000;
/** What takes longer counts as this. strongSwan's own schedule gives up a peer after 165 s. */
const OUTAGE_COUNTED_MS = 200_000;
/** A cause that can be taken away stays that long after traffic flows again, so that tries come to nothing meanwhile. */
const CAUSE_STAYS_MS = 20_000;
const DIRECT_AGAIN_COUNTED_MS = 120_000;
const DIRECT_MS = 90_000;

/** A way for the direct path to die without a word, and how its cause goes away; undefined when it goes at once. */
interface Death {
  readonly kind: string;
  readonly harm: (scene: Scene, end: End) => Promise<void>;
  readonly undo?: (scene: Scene, end: End) => Promise<void>;
}

const KINDS: readonly Death[] = [
  {
    kind: 'both ways dropped',
    harm: ({ lab }) => lab.network.dropBetween(...ENDS),
    undo: ({ lab }) => lab.network.restoreBetween(...ENDS),
  },
  {
    kind: 'one way dropped',
    harm: ({ lab }, end) => lab.network.dropFrom(end, otherEndOf(end)),
    undo: ({ lab }, end) => lab.network.restoreFrom(end, otherEndOf(end)),
  },
  { kind: 'NAT table flushed', harm: ({ lab }, end) => lab.network.flushConntrack(end) },
  { kind: "NAT's address changed", harm: ({ lab }, end) => lab.network.changeWanAddress(end) },
];

interface Measured {
  readonly kind: string;
  readonly outageMs: number;
  readonly directAgainMs: number;
}

/** The direct path dies, of each kind in turn and at either end. Figures come from pings in both directions. */
export function silentDeaths(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const deaths = quick ? DEATHS.quick : DEATHS.full;
  const name = (what: string): string => `direct path dies in silence: ${what}, ${strongswan}`;
  const names = [
    name('median time until a ping flows again'),
    name('worst time until a ping flows again'),
    name('worst time until direct again after the cause is gone'),
  ] as const;
  return {
    names,
    measure: async (say) => {
      const measured: Measured[] = [];
      while (measured.length < deaths) {
        await using scene = await Scene.create({ strongswan });
        await scene.allow();
        do {
          measured.push(await die(scene, measured.length, say));
        } while (measured.length < deaths && hasRecovered(measured.at(-1)));
      }
      return rowsOf(names, measured);
    },
  };
}

function rowsOf(
  [medianName, worstName, directName]: readonly [string, string, string],
  measured: readonly Measured[],
): PathRow[] {
  const outages = measured.map((death) => death.outageMs);
  const medianRow = limit(medianName, 'ms', [median(outages)], OUTAGE_MEDIAN_MS_MAX);
  const byKind = (
    of: 'outageMs' | 'directAgainMs',
    figure: (values: readonly number[]) => number,
  ): Record<string, number> =>
    Object.fromEntries(
      KINDS.map(({ kind }) => [
        kind,
        figure(measured.filter((death) => death.kind === kind).map((death) => death[of])),
      ]),
    );
  const worst = (values: readonly number[]): number => Math.max(...values);
  const again = measured.map(({ directAgainMs }) => directAgainMs);
  return [
    { ...medianRow, runs: measured.length, seen: byKind('outageMs', median) },
    { ...limit(worstName, 'ms', outages, OUTAGE_WORST_MS_MAX), seen: byKind('outageMs', worst) },
    { ...limit(directName, 'ms', again, DIRECT_AGAIN_MS_MAX), seen: byKind('directAgainMs', worst) },
  ];
}

async function die(scene: Scene, index: number, say: Say): Promise<Measured> {
  const death = KINDS[index % KINDS.length] ?? KINDS[0];
  if (death === undefined) throw new TypeError('there are kinds of death');
  const end = ENDS[Math.floor(index / KINDS.length) % ENDS.length] ?? ENDS[0];
  const pings = await Promise.all(ENDS.map((from) => scene.ping(from, PING_INTERVAL_MS)));
  await scene.explained(untilEach(pings, 'direct answers at both ends', isFlowingDirectly, DIRECT_MS));

  const harmedMs = Date.now();
  await death.harm(scene, end);
  const outage = await outageAfter(pings, harmedMs);
  if (death.undo !== undefined) await sleep(CAUSE_STAYS_MS);
  const goneMs = death.undo === undefined ? harmedMs : Date.now();
  await death.undo?.(scene, end);
  const again = await directAgain(scene, pings, goneMs);
  await Promise.all(pings.map(({ ping }) => ping.stop()));
  const measured = { kind: death.kind, outageMs: Math.round(outage), directAgainMs: Math.round(again) };
  say(`death ${index + 1} at ${end}: ${JSON.stringify(measured)}`);
  return measured;
}

/** After one that has not, the next death needs a new lab. */
function hasRecovered(death: Measured | undefined): boolean {
  return death !== undefined && death.directAgainMs < DIRECT_AGAIN_COUNTED_MS;
}

async function outageAfter(pings: readonly ScenePing[], harmedMs: number): Promise<number> {
  const flows = (trace: PingTrace, nowMs: number): boolean => nowMs - harmedMs > WATCH_MS && isFlowing(trace, nowMs);
  const traces = await untilEach(pings, 'answers at both ends', flows, OUTAGE_COUNTED_MS).catch(undefinedWhenLate);
  return traces === undefined ? OUTAGE_COUNTED_MS : Math.max(...traces.map((trace) => outageMs(trace, harmedMs)));
}

async function directAgain(scene: Scene, pings: readonly ScenePing[], goneMs: number): Promise<number> {
  const wait = untilEach(pings, 'direct answers', isFlowingDirectly, DIRECT_AGAIN_COUNTED_MS);
  const traces = await scene.explained(wait).catch(undefinedWhenLate);
  if (traces === undefined) return DIRECT_AGAIN_COUNTED_MS;
  return Math.max(0, ...traces.map((trace) => (directSinceMs(trace) ?? Infinity) - goneMs));
}

function undefinedWhenLate(error: unknown): undefined {
  if (!(error instanceof LabError) || error.code !== 'not-in-time') throw error;
}

/** Waits until both traces are as wanted at the same time. */
async function untilEach(
  pings: readonly ScenePing[],
  what: string,
  wanted: (trace: PingTrace, nowMs: number) => boolean,
  timeoutMs: number,
): Promise<readonly PingTrace[]> {
  let traces: readonly PingTrace[] = [];
  await waitFor({
    what,
    observe: async () => {
      traces = await Promise.all(pings.map(({ trace }) => trace()));
      const nowMs = Date.now();
      return traces.map((trace) => wanted(trace, nowMs));
    },
    until: (seen) => seen.every(Boolean),
    timeoutMs,
    intervalMs: 200,
  });
  return traces;
}
