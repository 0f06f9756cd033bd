import { Lab } from '../../lab/lab.ts';
import { PlainMesh } from '../../lab/plain-mesh.ts';
import { LabError } from '../../lab/run.ts';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { comparison, interleaved, timed, type Say } from '../row.ts';
import { EventTail, isMediatedInitiate, isNowDirect } from './event-tail.ts';
import type { PathMeasurement } from './path-row.ts';
import { ENDS, Scene } from './scene.ts';

const RUNS = { full: 15, quick: 5 } as const;
const WARM_UP_RUNS = 1;
const DIRECT_MS = 90_000;

/**
 * The mediated tunnel set up anew, by the product and by swanctl, in two labs side by side. In each of them both ends
 * are registered at the mediator all the time.
 */
export function directTime(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const name = `time to direct: the agent's initiate-child until its path is direct / swanctl --initiate of the same, ${strongswan}`;
  return {
    names: [name],
    measure: async (say) => {
      await using scene = await Scene.create({ strongswan });
      const tails = await Promise.all(ENDS.map((end) => EventTail.start(scene, end)));
      await scene.allow();
      await scene.untilDirect(DIRECT_MS);
      await using plainLab = await Lab.create({ strongswan });
      const plain = await PlainMesh.start(plainLab);
      await Promise.all(ENDS.map((end) => plain.register(end)));
      const contenders = { ours: () => ourTime(scene, tails, say), other: () => plainTime(plain, say) };
      await interleaved(WARM_UP_RUNS, contenders);
      return [comparison(name, await interleaved(quick ? RUNS.quick : RUNS.full, contenders), { atMost: 1.1 })];
    },
  };
}

/** Ends the tunnel, and waits for the next one. A try that comes to nothing counts with the one after it. */
async function ourTime(scene: Scene, tails: readonly EventTail[], say: Say): Promise<number> {
  const startMs = Date.now();
  await scene.endDirect('edge1');
  const { initiated, direct } = await waitFor({
    what: 'the next direct path',
    observe: async () => {
      const events = (await Promise.all(tails.map((tail) => tail.since(startMs)))).flatMap((all) => {
        const direct = all.find(isNowDirect);
        const initiated = all.find(isMediatedInitiate);
        return initiated === undefined || direct === undefined
          ? []
          : [{ initiated: initiated.atMs, direct: direct.atMs }];
      });
      return events[0] ?? { initiated: Number.NaN, direct: Number.NaN };
    },
    until: ({ direct }) => Number.isFinite(direct),
    timeoutMs: DIRECT_MS,
  });
  await scene.untilDirect(DIRECT_MS);
  say(`ours: ${direct - initiated} ms`);
  return direct - initiated;
}

/** charon loses one of some 40 set-ups on 6.0; then the other end has to begin, and its time is the one that counts. */
async function plainTime(plain: PlainMesh, say: Say): Promise<number> {
  const ms = await timed(() => plain.initiateDirect('edge1', 'remote')).catch((error: unknown) => {
    if (!(error instanceof LabError) || error.code !== 'command-failed') throw error;
    say(`swanctl: ${error.message}`);
    return timed(() => plain.initiateDirect('remote', 'edge1'));
  });
  say(`swanctl: ${ms.toFixed(0)} ms`);
  await plain.terminateDirect('edge1', 'remote');
  return ms;
}
