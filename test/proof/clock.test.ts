import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { enrollResultSchema, statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import { applyReplySchema, nodesReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { createLogger } from '../../src/log.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { waitFor } from '../lab/wait-for.ts';
import { startAgent, startCoordinator } from './in-process.ts';
import { starSpec } from './nodes.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CHARON_UPTIME_MS = 60_000;

/** A machine's clock; its monotonic time is not touched when it is set. */
class MachineClock implements Clock {
  aheadMs = 0;

  nowMs(): number {
    return systemClock.nowMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }
}

/** Coordinator and agent as they are, each with a clock to set. */
class Scene {
  readonly ofCoordinator = new MachineClock();
  readonly ofNode = new MachineClock();
  readonly charon: FakeCharon;
  readonly #folder: string;
  readonly #log: string[] = [];

  private constructor(folder: string, charon: FakeCharon) {
    this.#folder = folder;
    this.charon = charon;
    const startedMs = Date.now() - CHARON_UPTIME_MS;
    charon.on('stats', () => this.statsOf(new Date(startedMs + this.ofNode.aheadMs)));
  }

  static async start(): Promise<Scene> {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-clock-'));
    const scene = new Scene(folder, await FakeCharon.start());
    const stop = new AbortController();
    const logger = createLogger('proof', 'info', { write: (line: string) => scene.#log.push(line) });
    const coordinator = await startCoordinator(folder, { clock: scene.ofCoordinator, logger }, stop.signal);
    const deps = { clock: scene.ofNode, logger, viciSocket: scene.charon.socketPath };
    const agent = await startAgent(join(folder, 'agent'), deps, stop.signal);
    onTestFinished(async () => {
      stop.abort();
      await Promise.all([coordinator.ended, agent.ended]);
      await scene.charon[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    });
    await scene.#enrol(coordinator.url);
    return scene;
  }

  /** What charon tells of itself: its start is derived from its uptime and the wall clock. */
  statsOf(since: Date) {
    const byPriority = { critical: 0, high: 0, medium: 0, low: 0 };
    return {
      uptime: { running: '1 minute', since: since.toISOString() },
      workers: { total: 16, idle: 11, active: byPriority },
      queues: byPriority,
      scheduled: 0,
      ikesas: { total: 0, 'half-open': 0 },
      plugins: ['vici'],
    };
  }

  /** A full look at charon goes before it. */
  status(): Promise<AgentStatus> {
    return this.#agentApi.get('/v1/status', statusSchema);
  }

  get loads(): number {
    return this.charon.commands.filter((command) => /^(?:un)?load-/.test(command)).length;
  }

  timesSaid(message: string): number {
    return this.#log.filter((line) => line.includes(`"msg":"${message}"`)).length;
  }

  get #agentApi(): LocalApi {
    return new LocalApi({ socketPath: join(this.#folder, 'agent', 'agent.sock'), service: 'cygnet-agent' });
  }

  async #enrol(coordinator: string): Promise<void> {
    const api = new LocalApi({ socketPath: join(this.#folder, 'api.sock'), service: 'cygnet-coordinator' });
    const json = (value: object) => ({ contentType: 'application/json', text: JSON.stringify(value) });
    const text = `meshRange: "off"\n${starSpec(['edge'], 1)}`;
    await api.send('PUT', '/v1/spec', applyReplySchema, { contentType: 'application/yaml', text });
    const { token } = await api.send('POST', '/v1/tokens', tokenReplySchema, json({ node: 'edge', ttlSeconds: 60 }));
    await this.#agentApi.send('POST', '/v1/enroll', enrollResultSchema, json({ coordinator, token }));
    await waitFor({
      what: 'a node that has confirmed its state',
      observe: () => api.get('/v1/nodes', nodesReplySchema),
      until: ({ nodes }) => nodes.find(({ name }) => name === 'edge')?.state === 'ok',
      timeoutMs: 20_000,
      intervalMs: 20,
    });
  }
}

it.each([
  ['an hour ahead', HOUR_MS],
  ['an hour back', -HOUR_MS],
  ['a day ahead', DAY_MS],
  ['a day back', -DAY_MS],
])('clocks that are set %s and back end no channel, renew no certificate, and load nothing again', async (_by, ms) => {
  const scene = await Scene.start();
  const loads = scene.loads;
  for (const clock of [scene.ofNode, scene.ofCoordinator]) {
    for (const aheadMs of [ms, 0]) {
      clock.aheadMs = aheadMs;
      for (let look = 0; look < 3; look += 1) await scene.status();
    }
  }
  expect(await scene.status()).toMatchObject({ coordinator: { state: 'connected' }, desired: { applied: 1 } });
  expect(scene.loads).toBe(loads);
  expect(scene.timesSaid('control channel open')).toBe(1);
  expect(scene.timesSaid('certificate renewed')).toBe(0);
});

it('a clock that is set between charon’s answer and the agent’s look at it makes no other charon of it', async () => {
  const scene = await Scene.start();
  const loads = scene.loads;
  const startedMs = Date.now() - CHARON_UPTIME_MS;
  let answers = 0;
  scene.charon.on('stats', () => {
    const stats = scene.statsOf(new Date(startedMs + scene.ofNode.aheadMs));
    if ((answers += 1) === 1) scene.ofNode.aheadMs += HOUR_MS;
    return stats;
  });
  await scene.status();
  expect(answers).toBeGreaterThan(1);
  expect(scene.loads).toBe(loads);
});
