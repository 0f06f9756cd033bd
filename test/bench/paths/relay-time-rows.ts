import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { limit, type Say } from '../row.ts';
import type { PathMeasurement } from './path-row.ts';
import { ENDS, Scene } from './scene.ts';

const RUNS = { full: 10, quick: 3 } as const;
const FIRST_PACKET_MS_MAX = 500;
const PING_INTERVAL_MS = 20;
const UP_MS = 90_000;

/** How soon a link that was just allowed carries packets. Neither end has a hub tunnel before. */
export function relayTime(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const name = `first packet through the relay after the coordinator took the spec that allows it, ${strongswan}`;
  return {
    names: [name],
    measure: async (say) => {
      await using scene = await Scene.create({ strongswan });
      const times: number[] = [];
      for (let run = 0; run < (quick ? RUNS.quick : RUNS.full); run += 1) {
        times.push(await firstPacketMs(scene, say));
        // Not before it is direct: charon must not lose a connection whose checks run.
        await scene.untilDirect(UP_MS);
        await scene.forbid();
      }
      return [limit(name, 'ms', times, FIRST_PACKET_MS_MAX)];
    },
  };
}

async function firstPacketMs(scene: Scene, say: Say): Promise<number> {
  const { ping, trace } = await scene.ping(ENDS[0], PING_INTERVAL_MS);
  const allowedMs = await scene.allow();
  const { replies } = await waitFor({
    what: 'a packet through the relay',
    observe: trace,
    until: (seen) => seen.replies.length > 0,
    timeoutMs: UP_MS,
  });
  await ping.stop();
  const ms = (replies[0]?.atMs ?? Number.NaN) - allowedMs;
  say(`first packet after ${ms.toFixed(0)} ms`);
  return ms;
}
