import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { limit } from '../row.ts';
import { EventTail, isNowDirect } from './event-tail.ts';
import type { PathMeasurement } from './path-row.ts';
import { lostAtMs } from './ping-trace.ts';
import { ENDS, peerConnectionOf, Scene, type End } from './scene.ts';

const ROUNDS = { full: 100, quick: 10 } as const;
const PING_INTERVAL_MS = 20;
const DIRECT_MS = 120_000;

/** Ends the direct tunnel on command, at either end in turn, and waits for the next one, under a ping all the time. */
export function switching(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const name = `packets lost in ${rounds} fallbacks and ${rounds} upgrades on command, 50 pings a second, ${strongswan}`;
  return {
    names: [name],
    measure: async (say) => {
      await using scene = await Scene.create({ strongswan });
      const tails = await Promise.all(ENDS.map((end) => EventTail.start(scene, end)));
      await scene.allow();
      await scene.untilDirect(DIRECT_MS);
      const { ping, trace } = await scene.ping(ENDS[0], PING_INTERVAL_MS);
      const switches: Switches[] = [];
      for (let round = 0; round < rounds; round += 1) {
        switches.push(await fallAndRise(scene, tails, ENDS[round % ENDS.length] ?? ENDS[0]));
        if (round % 10 === 9) say(`${round + 1} of ${rounds}`);
      }
      const { sent, received } = await ping.stop();
      say(`${received} of ${sent} packets came back`);
      const row = limit(name, 'packets', [sent - received], 0);
      const lost = lostAtMs(await trace());
      return [{ ...row, runs: rounds, seen: { sent, lost: lost.map((atMs) => whenOf(atMs, switches)).join(', ') } }];
    },
  };
}

/** Ms since the epoch. */
interface Switches {
  readonly terminatedMs: number;
  readonly directMs: number;
}

/** Which of the two switches a lost packet belongs to. */
function whenOf(lostMs: number, switches: readonly Switches[]): string {
  const last = switches.findLast(({ terminatedMs }) => terminatedMs <= lostMs + PING_INTERVAL_MS);
  if (last === undefined) return 'before the first';
  const [what, sinceMs] =
    lostMs + PING_INTERVAL_MS < last.directMs ? ['a terminate', last.terminatedMs] : ['an upgrade', last.directMs];
  return `${(lostMs - sinceMs).toFixed(0)} ms after ${what}`;
}

async function fallAndRise(scene: Scene, tails: readonly EventTail[], end: End): Promise<Switches> {
  const startMs = Date.now();
  await scene.lab.swanctl(end, ['--terminate', '--ike', peerConnectionOf(end)]);
  const risen = await waitFor({
    what: 'both ends with a new direct path',
    observe: () => Promise.all(tails.map(async (tail) => (await tail.since(startMs)).find(isNowDirect)?.atMs ?? null)),
    until: (moments) => moments.every((atMs) => atMs !== null),
    timeoutMs: DIRECT_MS,
  });
  return { terminatedMs: startMs, directMs: Math.max(...risen.map((atMs) => atMs ?? Number.NaN)) };
}
