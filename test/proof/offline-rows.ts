import { setTimeout as delay } from 'node:timers/promises';
import { agentEventSchema } from '../../src/agent/api.ts';
import { limit, type Say } from '../bench/row.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh } from '../lab/mesh.ts';
import { meshSpec } from '../lab/seed-mesh.ts';
import { waitFor } from '../lab/wait-for.ts';
import type { Proof } from './proof.ts';

const TUNNEL = 'boots without a coordinator: the tunnel to the hub is up after charon is ready';
const PACKET = 'boots without a coordinator: the first packet went through it after charon was ready';
const BOOTS = 10;
const UP_S_MAX = 3;

const NODE = 'edge1';
const HUB = 'master1';
const UP_MS = 60_000;
/** Of the pings that show the first packet. */
const PING_MS = 20;
/** charon's socket is looked at so often until it answers. */
const SOCKET_LOOK_MS = 50;

/** A node of a lab that is started again and again, with real daemons and nothing but its disk. */
export const offlineBoots: Proof = {
  names: [TUNNEL, PACKET],
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
    return [limit(TUNNEL, 's', tunnelS, UP_S_MAX), limit(PACKET, 's', packetS, UP_S_MAX)];
  },
};

async function bringUp(lab: Lab, mesh: Mesh): Promise<void> {
  await Promise.all(lab.nodes.map((node) => lab.startCharon(node)));
  await mesh.startCoordinator();
  await Promise.all(lab.nodes.map((node) => mesh.startAgent(node)));
  for (const node of lab.nodes) await mesh.enroll(node);
  await mesh.applySpec(meshSpec(lab.network));
  await untilLinked(mesh);
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
    const readyMs = await this.#start();
    await untilLinked(this.#mesh);
    const upMs = await this.#upSince(readyMs);
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

  /** Resolves to the moment from which charon has answered, or one before it. */
  async #start(): Promise<number> {
    const agent = (): Promise<void> => this.#mesh.startAgent(NODE);
    if (this.#isAgentFirst) {
      await agent();
      // So that it waits as one does that has waited for a while.
      await delay(3000);
    }
    await this.#lab.startCharon(NODE);
    const readyMs = Date.now() - SOCKET_LOOK_MS;
    if (!this.#isAgentFirst) await agent();
    return readyMs;
  }

  /** When the first CHILD SA with the hub came up. */
  async #upSince(readyMs: number): Promise<number> {
    const lines = (await this.#mesh.agentctl(NODE, ['events', '--json'])).trim().split('\n');
    const events = lines.map((line) => agentEventSchema.parse(JSON.parse(line)));
    const up = events.find(
      ({ kind, connection, atMs }) => kind === 'child-up' && connection === `cygnet-hub-${HUB}` && atMs > readyMs,
    );
    if (up === undefined) throw new Error(`${NODE} tells of no CHILD SA with ${HUB}`);
    return up.atMs;
  }
}
