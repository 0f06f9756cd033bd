import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlChannel } from '../../src/agent/channel.ts';
import { nodesReplySchema } from '../../src/coordinator/api.ts';
import { limit } from '../bench/row.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { enrolNodes, lightNode } from './nodes.ts';
import type { Proof } from './proof.ts';

const AGENT = 'half-open channel found by the agent';
const COORDINATOR_SIDE = 'half-open channel found by the coordinator';
const FOUND_S_MAX = 50;
/** Channels, opened this far apart, so that their pings are at different places when the freeze comes. */
const CHANNELS = 6;
const APART_MS = 2300;
const GIVE_UP_MS = 70_000;

/** Connections that stay open while nothing gets through any more. */
export const halfOpen: Proof = {
  names: [AGENT, COORDINATOR_SIDE],
  measure: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-half-open-'));
    const coordinator = await CoordinatorProcess.start({ program: COORDINATOR, folder });
    await using proxy = await TcpProxy.start(coordinator.port);
    const stop = new AbortController();
    const runs: Promise<void>[] = [];
    try {
      const coordinatorUrl = proxy.url;
      const channels: ControlChannel[] = [];
      for (const identity of await enrolNodes(coordinator, 'node', CHANNELS)) {
        const channel = lightNode({ ...identity, coordinatorUrl }, {});
        runs.push(channel.run(stop.signal));
        channels.push(channel);
        await delay(APART_MS);
      }
      await until(() => Promise.resolve(channels.every(({ status }) => status.state === 'connected')));
      proxy.freeze();
      const frozenMs = performance.now();
      const found = async (isOver: () => Promise<boolean>): Promise<number> => {
        await until(isOver);
        return (performance.now() - frozenMs) / 1000;
      };
      const byAgents = channels.map((channel) => found(() => Promise.resolve(channel.status.state !== 'connected')));
      const byCoordinator = found(async () => {
        const { nodes } = await coordinator.api.get('/v1/nodes', nodesReplySchema);
        return nodes.every(({ online }) => !online);
      });
      return [
        limit(AGENT, 's', await Promise.all(byAgents), FOUND_S_MAX),
        limit(COORDINATOR_SIDE, 's', [await byCoordinator], FOUND_S_MAX),
      ];
    } finally {
      stop.abort();
      await Promise.all(runs);
      await coordinator.stop('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  },
};

/** Gives up after more than a minute, without an error: the time that it took says it. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + GIVE_UP_MS; performance.now() < endMs; await delay(100)) {
    if (await isSo()) return;
  }
}
