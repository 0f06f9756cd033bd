import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { costOf } from '../bench/paths/process-cost.ts';
import { limit, type Say } from '../bench/row.ts';
import { ClockedMesh, type ClockedNode, type NodeTrace } from './clocked-mesh.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { never, type Proof, type ProofRow } from './proof.ts';

const AGENT = fileURLToPath(new URL('../../src/bin/cygnet-agent.js', import.meta.url));

const STEADY = 'clocks set by an hour and by a day: channels, certificates and loads that change for it';
const BACK = 'clocks set: an hour apart, until a cut channel is open again';
const CONNECTIONS = "clocks set: a node's connections to the coordinator in its busiest minute";
const BYTES = "clocks set: a node's bytes on the way to the coordinator in its busiest minute";
const PROCESSOR = 'clocks set: processor time of the busiest process';
const WELL = 'clocks set right again: until all is well';

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const STEPS = { 'hour-ahead': HOUR_S, 'hour-back': -HOUR_S, 'day-ahead': DAY_S, 'day-back': -DAY_S } as const;

/** Longer than it takes to call a channel dead that is silent. */
const STEADY_MS = 45_000;
/** Longer than it takes the agent to look at its certificates. */
const MINUTES = 6;
const BACK_S_MAX = 60;
/** A back-off from half a second on, for the channel and for each of the two certificates. */
const CONNECTIONS_MAX = 20;
const KB_MAX = 256;
const CPU_PERCENT_MAX = 5;

/** Processes whose wall clock is wrong from the beginning, and is set while they run; their monotonic clock is right. */
export const clocks: Proof = {
  names: [STEADY, BACK, CONNECTIONS, BYTES, PROCESSOR, WELL],
  measure: async (say) => {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-clocks-'));
    const meshes: ClockedMesh[] = [];
    try {
      for (const options of meshesIn(folder)) meshes.push(await ClockedMesh.start(options));
      return await new ClockProof(meshes, say).run();
    } finally {
      await Promise.all(meshes.map((mesh) => mesh[Symbol.asyncDispose]()));
      rmSync(folder, { recursive: true });
    }
  },
};

/** One mesh whose nodes' clocks are wrong or will be, and one for each step of a coordinator's. */
function meshesIn(folder: string): Parameters<typeof ClockedMesh.start>[0][] {
  const programs = { agent: AGENT, coordinator: COORDINATOR };
  const steps = Object.keys(STEPS);
  const nodesAhead = {
    ...Object.fromEntries(steps.map((name) => [name, 0])),
    'skewed-ahead': HOUR_S,
    'skewed-back': -HOUR_S,
  };
  return [
    { folder: join(folder, 'nodes'), programs, coordinatorAhead: 0, nodesAhead },
    ...steps.map((step) => ({
      folder: join(folder, step),
      programs,
      coordinatorAhead: 0,
      nodesAhead: { [`coordinator-${step}`]: 0 },
    })),
  ];
}

class ClockProof {
  readonly #meshes: readonly ClockedMesh[];
  readonly #say: Say;

  constructor(meshes: readonly ClockedMesh[], say: Say) {
    this.#meshes = meshes;
    this.#say = say;
  }

  async run(): Promise<ProofRow[]> {
    const pids = this.#meshes.flatMap((mesh) => [mesh.pid, ...mesh.nodes.map(({ pid }) => pid)]);
    const cpuBefore = await cpuOf(pids);
    const startedMs = performance.now();
    const before = await this.#traces();
    this.#setClocks();
    const busiest = this.#busiestMinute(before);
    await delay(STEADY_MS);
    const changed = changesBetween(before, await this.#traces());
    for (const node of this.#nodes) node.cut();
    const backS = await Promise.all(
      this.#nodes.filter(canComeBack).map((node) => secondsUntil(() => node.isConnected())),
    );
    const { connections, bytes } = await busiest;
    const spentS = (performance.now() - startedMs) / 1000;
    const percents = (await cpuOf(pids)).map((seconds, index) => ((seconds - (cpuBefore[index] ?? 0)) / spentS) * 100);
    const traces = await this.#traces();
    for (const mesh of this.#meshes) for (const { clock } of [mesh, ...mesh.nodes]) clock.set(0);
    const wellS = await Promise.all(this.#nodes.map((node) => secondsUntil(() => node.isWell())));
    const seen = Object.fromEntries(
      [...traces].map(([name, { openings, renewals, renewalsInVain }]) => [
        name,
        `${openings} channels, ${renewals} renewals, ${renewalsInVain} in vain`,
      ]),
    );
    return [
      never(STEADY, 'changes', { cases: before.size, wrong: changed }),
      limit(BACK, 's', backS, BACK_S_MAX),
      { ...limit(CONNECTIONS, 'connections', [...connections], CONNECTIONS_MAX), seen },
      limit(
        BYTES,
        'KB',
        bytes.map((count) => count / 1024),
        KB_MAX,
      ),
      limit(PROCESSOR, '% of a core', percents, CPU_PERCENT_MAX),
      limit(WELL, 's', wellS, BACK_S_MAX),
    ];
  }

  get #nodes(): readonly ClockedNode[] {
    return this.#meshes.flatMap(({ nodes }) => nodes);
  }

  #setClocks(): void {
    for (const [name, seconds] of Object.entries(STEPS)) {
      for (const node of this.#nodes) {
        if (node.name === name) node.clock.set(seconds);
      }
      const mesh = this.#meshes.find(({ nodes }) => nodes.some((node) => node.name === `coordinator-${name}`));
      mesh?.clock.set(seconds);
    }
  }

  async #traces(): Promise<Map<string, NodeTrace>> {
    return new Map(await Promise.all(this.#nodes.map(async (node) => [node.name, await node.trace()] as const)));
  }

  /** Of each node, for the time that clocks are wrong. */
  async #busiestMinute(before: ReadonlyMap<string, NodeTrace>): Promise<{ connections: number[]; bytes: number[] }> {
    const busiest = { connections: [] as number[], bytes: [] as number[] };
    for (let minute = 1, last = before; minute <= MINUTES; minute += 1) {
      await delay(60_000);
      const now = await this.#traces();
      for (const [name, trace] of now) {
        busiest.connections.push(trace.connections - (last.get(name)?.connections ?? 0));
        busiest.bytes.push(trace.bytes - (last.get(name)?.bytes ?? 0));
        this.#say(`minute ${minute}, ${name}: ${JSON.stringify(trace)}`);
      }
      last = now;
    }
    return busiest;
  }
}

/** A certificate of the last hour is one of the future a day back, and its two hours are over a day ahead. */
function canComeBack({ name }: ClockedNode): boolean {
  return !/day-back|coordinator-day/.test(name);
}

/** What a clock alone must not bring about. */
function changesBetween(before: ReadonlyMap<string, NodeTrace>, after: ReadonlyMap<string, NodeTrace>): string[] {
  return [...after].flatMap(([name, { openings, renewals, loads }]) => {
    const last = before.get(name);
    const changes = {
      channels: openings - (last?.openings ?? 0),
      renewals: renewals - (last?.renewals ?? 0),
      loads: loads - (last?.loads ?? 0),
    };
    return Object.entries(changes).flatMap(([what, count]) => (count === 0 ? [] : [`${name}: ${count} ${what}`]));
  });
}

/** Gives up after three minutes: the time that it took says it. */
async function secondsUntil(isSo: () => Promise<boolean>): Promise<number> {
  const startedMs = performance.now();
  const seconds = (): number => (performance.now() - startedMs) / 1000;
  while (seconds() < 180 && !(await isSo().catch(() => false))) await delay(500);
  return seconds();
}

async function cpuOf(pids: readonly number[]): Promise<number[]> {
  return Promise.all(pids.map(async (pid) => (await costOf(pid)).cpuSeconds));
}
