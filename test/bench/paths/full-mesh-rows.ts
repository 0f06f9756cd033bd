import { setTimeout as sleep } from 'node:timers/promises';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { limit, median, type Say } from '../row.ts';
import { FullMesh, type Deviation } from './full-mesh.ts';
import type { PathMeasurement, PathRow } from './path-row.ts';
import { costOf, type ProcessCost } from './process-cost.ts';
import { untilSteady, type Steady } from './steady.ts';

const NODES = { full: 40, quick: 12 } as const;
/** For what is set up; what is not there by then is what the row counts. */
const UP_MS = 900_000;
const LOOK_EVERY_MS = 3000;
/** All has to be right for so long: what is there twice, or was lost once more, shows by then. */
const STEADY_MS = 10_000;
/** A link that has not answered is asked again for so long: a hub may have a queue of packets to work off. */
const PINGS_MS = 60_000;
const DEAD_MS = 5000;

interface Costs {
  readonly coordinator: ProcessCost;
  readonly agents: readonly ProcessCost[];
  readonly hubAgent: ProcessCost;
  readonly charons: readonly ProcessCost[];
}

/** Every two nodes are linked. What the charons have is compared with what they have to have, SA by SA. */
export function fullMesh(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const nodes = quick ? NODES.quick : NODES.full;
  const name = (what: string): string => `${nodes} nodes, all linked: SAs missing or too many ${what}, ${strongswan}`;
  const names = [name('once all are up'), name('after the charon of mediator and hub was killed')] as const;
  return {
    names,
    measure: async (say) => {
      await using full = await FullMesh.create(nodes, strongswan);
      say(`${nodes} nodes are enrolled`);
      const linked = await measure(full, names[0], () => full.linkAll(), say);
      const killed = await measure(full, names[1], () => killHub(full), say);
      return [linked, killed];
    },
  };
}

/**
 * Does something to the mesh, waits until all is as it has to be and stays so, and pings all links. What is not right at the
 * end of either counts.
 */
async function measure(full: FullMesh, name: string, act: () => Promise<void>, say: Say): Promise<PathRow> {
  const before = await costsOf(full);
  const startMs = performance.now();
  await act();
  const actedMs = performance.now() - startMs;
  const { seen: deviation, rightAfterMs = Infinity, relapses } = await steady(full, say);
  const after = await costsOf(full);
  const unanswered = await pingAll(full);
  const later = await full.deviation();
  const dead = full.lab.nodes.filter((node) => !full.lab.isCharonRunning(node));
  const row = limit(
    name,
    'SAs',
    [deviation, later].map(({ missing, surplus }) => missing + surplus),
    0,
  );
  const seen = {
    links: full.links.length,
    'seconds until right': Number.isFinite(rightAfterMs) ? Math.round((actedMs + rightAfterMs) / 1000) : null,
    'right, and then not for ten seconds': relapses,
    paths: JSON.stringify(await full.paths()),
    'links without an answer at first': unanswered.first,
    'links without an answer in a minute': unanswered.last,
    'second registrations': later.secondRegistrations,
    'charons dead': dead.join(' ') || 'none',
    ...spent(before, after),
    examples: [...deviation.examples, ...later.examples].join('; ') || 'none',
  };
  say(`${name}: ${JSON.stringify({ ours: row.ours, ...seen })}`);
  return { ...row, ok: row.ok && Number.isFinite(rightAfterMs) && dead.length === 0 && unanswered.last === 0, seen };
}

function steady(full: FullMesh, say: Say): Promise<Steady<Deviation>> {
  return untilSteady({
    look: async () => {
      const seen = await full.deviation();
      say(`${seen.missing} SAs are missing, ${seen.surplus} are too many or not up`);
      return seen;
    },
    isRight: ({ missing, surplus }) => missing + surplus === 0,
    nowMs: () => performance.now(),
    pause: (ms) => sleep(ms),
    everyMs: LOOK_EVERY_MS,
    steadyMs: STEADY_MS,
    limitMs: UP_MS,
  });
}

/** How many links did not answer at first, and how many never did. */
async function pingAll(full: FullMesh): Promise<{ readonly first: number; readonly last: number }> {
  const first = await full.deadLinks(full.links);
  const untilMs = performance.now() + PINGS_MS;
  let dead = first;
  while (dead.length > 0 && performance.now() < untilMs) dead = await full.deadLinks(dead);
  return { first: first.length, last: dead.length };
}

async function killHub({ lab }: FullMesh): Promise<void> {
  const [hub = 'master1'] = lab.nodes;
  await lab.killCharon(hub);
  await sleep(DEAD_MS);
  await lab.startCharon(hub);
}

async function costsOf({ lab, mesh }: FullMesh): Promise<Costs> {
  const [hub = 'master1', ...others] = lab.nodes;
  return {
    coordinator: await costOf(mesh.coordinator.pid),
    hubAgent: await costOf(mesh.agentOf(hub).pid),
    agents: await Promise.all(others.map((node) => costOf(mesh.agentOf(node).pid))),
    charons: await Promise.all(lab.nodes.map((node) => costOf(lab.charonOf(node).pid))),
  };
}

/** Processor seconds of each between the two, and memory at the end. */
function spent(before: Costs, after: Costs): Readonly<Record<string, number>> {
  const cpu = (b: ProcessCost | undefined, a: ProcessCost): number =>
    Math.round(Math.max(0, a.cpuSeconds - (b?.cpuSeconds ?? 0)) * 10) / 10;
  const agents = after.agents.map((cost, index) => cpu(before.agents[index], cost));
  return {
    'CPU seconds, coordinator': cpu(before.coordinator, after.coordinator),
    "CPU seconds, the hub's agent": cpu(before.hubAgent, after.hubAgent),
    "CPU seconds, an edge's agent, median": median(agents),
    "CPU seconds, an edge's agent, most": Math.max(...agents),
    'CPU seconds, all charons': after.charons.reduce((sum, cost, index) => sum + cpu(before.charons[index], cost), 0),
    'MB, coordinator': Math.round(after.coordinator.residentMb),
    "MB, the hub's agent": Math.round(after.hubAgent.residentMb),
    "MB, an edge's agent, median": Math.round(median(after.agents.map(({ residentMb }) => residentMb))),
    'MB, a charon, median': Math.round(median(after.charons.map(({ residentMb }) => residentMb))),
  };
}
