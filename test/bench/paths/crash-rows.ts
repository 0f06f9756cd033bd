import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ViciIkeSa } from '../../../src/vici/index.ts';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { firstNameOf } from '../../lab/mesh.ts';
import { LabError } from '../../lab/run.ts';
import type { NodeName } from '../../lab/topology.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { limit, type Say } from '../row.ts';
import { createdIn, duplicatesIn, ikeSasOf } from './charon-sas.ts';
import { CharonWatch } from './charon-watch.ts';
import { brokenRow, type PathMeasurement, type PathRow } from './path-row.ts';
import { ENDS, Scene } from './scene.ts';

const MEDIATOR = 'master1';
const HUB = 'master2';
const HUB_DEAD_MS = { full: 300_000, quick: 30_000 } as const;
/** Long enough for the others to have noticed. */
const DEAD_MS = 5000;
const STARTS = { full: 50, quick: 5 } as const;
const DIRECT_MS = 180_000;
/** What is set up twice has become one by then, or stays. */
const SETTLE_MS = 10_000;
const PINGS = 10;
/** A mediation that came to nothing leaves its IKE SA in CREATED; nothing waits for it for that long. */
const CREATED_MS_MAX = 90_000;

interface Disaster {
  readonly what: string;
  readonly happen: (scene: Scene, charons: CharonWatch) => Promise<void>;
}

/** The part of `agentctl status --json` about connections. */
const connectionsSchema = z.object({ connections: z.array(z.object({ name: z.string(), status: z.string() })) });

/** What dies and comes back, and what is left of it in every charon when the link is direct again. */
export function crashes(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const disasters = disastersOf(quick);
  const names = disasters.map(({ what }) => `SAs too many after: ${what}, ${strongswan}`);
  return {
    names,
    measure: async (say) => {
      await using scene = await Scene.create({
        strongswan,
        secondHub: true,
        roles: { master1: ['mediator'], master2: ['hub'] },
      });
      await scene.allow();
      await scene.untilDirect(DIRECT_MS);
      const rows: PathRow[] = [];
      for (const [index, disaster] of disasters.entries()) {
        const name = names[index] ?? disaster.what;
        rows.push(await survive(scene, name, disaster, say).catch((error: unknown) => broken(name, error)));
      }
      return rows;
    },
  };
}

function disastersOf(quick: boolean): readonly Disaster[] {
  const mode = quick ? 'quick' : 'full';
  const seconds = HUB_DEAD_MS[mode] / 1000;
  const [, peer] = ENDS;
  return [
    {
      what: `the mediator's charon dead for ${seconds} s`,
      happen: (_scene, charons) => killCharon(charons, MEDIATOR, HUB_DEAD_MS[mode]),
    },
    {
      what: `the hub's charon dead for ${seconds} s`,
      happen: (_scene, charons) => killCharon(charons, HUB, HUB_DEAD_MS[mode]),
    },
    { what: "the peer's charon killed", happen: (_scene, charons) => killCharon(charons, peer, DEAD_MS) },
    { what: "the peer's agent killed", happen: (scene) => killAgents(scene, [peer], DEAD_MS) },
    {
      what: `both agents started at once ${STARTS[mode]} times`,
      happen: (scene, charons) => startAtOnce(scene, charons, STARTS[mode]),
    },
  ];
}

async function survive(scene: Scene, name: string, { happen }: Disaster, say: Say): Promise<PathRow> {
  const { lab } = scene;
  const charons = await CharonWatch.begin(lab);
  const listed = (): Promise<readonly (readonly ViciIkeSa[])[]> =>
    Promise.all(lab.nodes.map((node) => ikeSasOf(lab, node)));
  await happen(scene, charons);
  await scene.untilDirect(DIRECT_MS);
  await waitFor({
    what: 'an IKE SA of every connection on every node',
    observe: async () => (await Promise.all(lab.nodes.map((node) => missingOn(scene, node)))).flat(),
    until: (missing) => missing.length === 0,
    timeoutMs: DIRECT_MS,
    intervalMs: 1000,
  });
  await sleep(SETTLE_MS);
  const before = await listed();
  const duplicates = before.reduce((sum, ikeSas) => sum + duplicatesIn(ikeSas), 0);
  const created = before.map(createdIn);
  if (created.some((ids) => ids.size > 0)) await sleep(CREATED_MS_MAX);
  const old = (await listed()).reduce(
    (sum, ikeSas, index) => sum + [...createdIn(ikeSas)].filter((id) => created[index]?.has(id)).length,
    0,
  );
  const failed = await charons.failed();
  const [from, to] = ENDS;
  const ping = await scene.lab.ping(from, scene.lab.network.lanOf(to).address, { count: PINGS });
  const row = limit(name, 'SAs', [duplicates + old], 0);
  const seen = {
    duplicates,
    'in CREATED for over 90 s': old,
    'charons that ended by themselves, or are frozen': failed.join(' ') || 'none',
    'pings answered': `${ping.received} of ${ping.sent}`,
  };
  say(`${name}: ${JSON.stringify(seen)}`);
  return { ...row, ok: row.ok && failed.length === 0 && ping.received === PINGS, seen };
}

/** What did not come back in time; the next one may. */
function broken(name: string, error: unknown): PathRow {
  if (error instanceof LabError && error.code === 'not-in-time') return brokenRow(name, error.message);
  throw error;
}

async function killCharon(charons: CharonWatch, node: NodeName, forMs: number): Promise<void> {
  await charons.kill(node);
  await sleep(forMs);
  await charons.start(node);
}

async function killAgents({ mesh }: Scene, nodes: readonly NodeName[], forMs: number): Promise<void> {
  await Promise.all(nodes.map((node) => mesh.stopAgent(node, 'SIGKILL')));
  await sleep(forMs);
  await Promise.all(nodes.map((node) => mesh.startAgent(node)));
}

/** With new charons, so that there is everything to set up. */
async function startAtOnce(scene: Scene, charons: CharonWatch, times: number): Promise<void> {
  const { mesh } = scene;
  for (let time = 0; time < times; time += 1) {
    await Promise.all(ENDS.map((end) => mesh.stopAgent(end, 'SIGKILL')));
    await Promise.all(ENDS.map((end) => charons.kill(end)));
    await Promise.all(ENDS.map((end) => charons.start(end)));
    await Promise.all(ENDS.map((end) => mesh.startAgent(end)));
    await scene.untilDirect(DIRECT_MS);
  }
}

/** Connections of a node without an IKE SA that is up. It may be under the name of a second registration instead. */
async function missingOn({ mesh }: Scene, node: NodeName): Promise<readonly string[]> {
  const status = connectionsSchema.parse(JSON.parse(await mesh.agentctl(node, ['status', '--json'])));
  const up = status.connections.filter(({ status: is }) => is === 'up').map(({ name }) => firstNameOf(name));
  return status.connections.map(({ name }) => firstNameOf(name)).filter((name) => !up.includes(name));
}
