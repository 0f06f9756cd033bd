import { setTimeout as delay } from 'node:timers/promises';
import { agentEventSchema } from '../../src/agent/api.ts';
import { limit, type Say } from '../bench/row.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh } from '../lab/mesh.ts';
import { meshSpec } from '../lab/seed-mesh.ts';
import type { NodeName } from '../lab/topology.ts';
import { waitFor } from '../lab/wait-for.ts';
import type { Proof } from './proof.ts';

const TUNNEL = 'boots without a coordinator: the tunnel to the hub is up after charon is ready';
const PACKET = 'boots without a coordinator: the first packet went through it after charon was ready';
const DIRECT = 'two nodes boot without a coordinator: their direct tunnel is up after both charons are ready';
const BOOTS = 10;
const UP_S_MAX = 3;
/**
 * What it is made of at the worst: 2 s until the agent finds its charon, 1 s for the peer to register, 1 s at the end of a
 * turn in which nobody begins, and what a registration and a mediation take, in which charon itself waits for a second.
 */
const DIRECT_S_MAX = 6;

const NODE = 'edge1';
const HUB = 'master1';
const PEER = 'remote';
const ENDS = [NODE, PEER] as const;
const UP_MS = 60_000;
/** Of the pings that show the first packet. */
const PING_MS = 20;
/** charon's socket is looked at so often until it answers. */
const SOCKET_LOOK_MS = 50;

/** Nodes of a lab that are started again and again, with real daemons and nothing but their disks. */
export const offlineBoots: Proof = {
  names: [TUNNEL, PACKET, DIRECT],
  measure: async (say) => {
    await using lab = await Lab.create();
    const mesh = new Mesh(lab);
    await bringUp(lab, mesh);
    await mesh.stopCoordinator('SIGKILL');
    const tunnelS: number[] = [];
    const packetS: number[] = [];
    for (let boot = 0; boot < BOOTS; boot += 1) {
      const { tunnelMs, packetMs } = await new Boot(lab, mesh, boot % 2 === 0).run(say);
      tunnelS.push(tunnelMs / 1000);
      packetS.push(packetMs / 1000);
    }
    const directS: number[] = [];
    for (let boot = 0; boot < BOOTS; boot += 1) directS.push((await bootBoth(lab, mesh, boot % 2 === 0, say)) / 1000);
    return [
      limit(TUNNEL, 's', tunnelS, UP_S_MAX),
      limit(PACKET, 's', packetS, UP_S_MAX),
      limit(DIRECT, 's', directS, DIRECT_S_MAX),
    ];
  },
};

async function bringUp(lab: Lab, mesh: Mesh): Promise<void> {
  await mesh.bringUp(meshSpec(lab.network));
  await untilLinked(mesh);
  await untilDirect(mesh);
}

async function untilLinked(mesh: Mesh): Promise<void> {
  await waitFor({
    what: `${NODE} with a path to ${HUB}`,
    observe: () => mesh.status(NODE),
    until: ({ links }) => links.some(({ peer, path }) => peer === HUB && path !== 'none' && path !== 'unknown'),
    timeoutMs: UP_MS,
    intervalMs: 300,
  });
}

async function untilDirect(mesh: Mesh): Promise<void> {
  await waitFor({
    what: `a direct path between ${NODE} and ${PEER}`,
    observe: () => Promise.all(ENDS.map(async (node) => (await mesh.status(node)).links)),
    until: (all) =>
      all.every((links, index) => links.some(({ peer, path }) => peer === ENDS[1 - index] && path === 'direct')),
    timeoutMs: UP_MS,
    intervalMs: 300,
  });
}

/** Ms from the moment at which both charons answer, or a little before, to the direct tunnel at both ends. */
async function bootBoth(lab: Lab, mesh: Mesh, isAgentFirst: boolean, say: Say): Promise<number> {
  await Promise.all(ENDS.map((node) => mesh.stopAgent(node, 'SIGKILL')));
  await Promise.all(ENDS.map((node) => lab.killCharon(node)));
  const readyMs = Math.max(...(await Promise.all(ENDS.map((node) => start(lab, mesh, node, isAgentFirst)))));
  await untilDirect(mesh);
  const ups = await Promise.all(
    ENDS.map((node) => childUpMs(mesh, node, `cygnet-peer-${node === NODE ? PEER : NODE}`)),
  );
  const directMs = Math.max(...ups) - readyMs;
  say(`both, ${isAgentFirst ? 'agents' : 'charons'} first: direct after ${directMs} ms`);
  return directMs;
}

/** Starts what was killed of a node. Resolves to the moment from which its charon has answered, or one before it. */
async function start(lab: Lab, mesh: Mesh, node: NodeName, isAgentFirst: boolean): Promise<number> {
  if (isAgentFirst) {
    await mesh.startAgent(node);
    // So that it waits as one does that has waited for a while.
    await delay(3000);
  }
  await lab.startCharon(node);
  const readyMs = Date.now() - SOCKET_LOOK_MS;
  if (!isAgentFirst) await mesh.startAgent(node);
  return readyMs;
}

/** When the first CHILD SA of the connection came up, in the words of an agent that was started for this boot. */
async function childUpMs(mesh: Mesh, node: NodeName, of: string): Promise<number> {
  const lines = (await mesh.agentctl(node, ['events', '--json'])).trim().split('\n');
  const events = lines.map((line) => agentEventSchema.parse(JSON.parse(line)));
  const up = events.find(({ kind, connection }) => kind === 'child-up' && connection === of);
  if (up === undefined) throw new Error(`${node} tells of no CHILD SA of ${of}`);
  return up.atMs;
}

/** One boot: charon and the agent die, and are started in one order or the other. */
class Boot {
  readonly #lab: Lab;
  readonly #mesh: Mesh;
  readonly #isAgentFirst: boolean;

  constructor(lab: Lab, mesh: Mesh, isAgentFirst: boolean) {
    this.#lab = lab;
    this.#mesh = mesh;
    this.#isAgentFirst = isAgentFirst;
  }

  /** Ms from charon's first answer to the first CHILD SA with the hub, and to the first packet through it and back. */
  async run(say: Say): Promise<{ readonly tunnelMs: number; readonly packetMs: number }> {
    const lab = this.#lab;
    await this.#mesh.stopAgent(NODE, 'SIGKILL');
    await lab.killCharon(NODE);
    const ping = await lab.longPing(NODE, lab.network.lanOf(HUB).address, { intervalSeconds: PING_MS / 1000 });
    const readyMs = await start(lab, this.#mesh, NODE, this.#isAgentFirst);
    await untilLinked(this.#mesh);
    const upMs = await childUpMs(this.#mesh, NODE, `cygnet-hub-${HUB}`);
    const firstMs = await waitFor({
      what: 'a packet through the tunnel',
      observe: async () => (await ping.replies()).find(({ atMs }) => atMs > readyMs)?.atMs ?? 0,
      until: (atMs) => atMs > 0,
      timeoutMs: UP_MS,
    });
    await ping.stop();
    const times = { tunnelMs: upMs - readyMs, packetMs: firstMs - readyMs };
    say(`${this.#isAgentFirst ? 'agent' : 'charon'} first: ${JSON.stringify(times)}`);
    return times;
  }
}
