import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { enrollResultSchema } from '../../src/agent/api.ts';
import { applyReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { costOf } from '../bench/paths/process-cost.ts';
import { waitFor } from '../lab/wait-for.ts';
import { AgentProcess } from './agent-process.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { starSpec } from './nodes.ts';
import { SettableClock } from './settable-clock.ts';
import { TcpProxy } from './tcp-proxy.ts';

/** Paths of the compiled programs. */
export interface Programs {
  readonly agent: string;
  readonly coordinator: string;
}

/** By how many seconds each clock is ahead of the machine's, when the mesh is made. */
export interface ClockedMeshOptions {
  readonly folder: string;
  readonly programs: Programs;
  readonly coordinatorAhead: number;
  readonly nodesAhead: Readonly<Record<string, number>>;
}

/** The shortest there are: whatever a clock does to certificates, it does it to these first. */
const CERTIFICATES = { channel: '2h', ike: '2h' };
const UP_MS = 60_000;
/** A charon that has been running for this long. */
const CHARON_UPTIME_MS = 86_400_000;

/** A coordinator and some agents, each a process with a wall clock of its own and a charon of the tests. */
export class ClockedMesh implements AsyncDisposable {
  readonly nodes: ClockedNode[] = [];
  readonly clock: SettableClock;
  readonly #coordinator: CoordinatorProcess;

  private constructor(coordinator: CoordinatorProcess, clock: SettableClock) {
    this.#coordinator = coordinator;
    this.clock = clock;
  }

  /** Resolves when every node is enrolled and has its desired state in its charon. */
  static async start({ folder, programs, coordinatorAhead, nodesAhead }: ClockedMeshOptions): Promise<ClockedMesh> {
    mkdirSync(folder);
    const clock = new SettableClock(join(folder, 'clock'));
    clock.set(coordinatorAhead);
    const setup = { program: programs.coordinator, folder, settings: { certificates: CERTIFICATES }, env: clock.env };
    const mesh = new ClockedMesh(await CoordinatorProcess.start(setup), clock);
    try {
      const names = Object.keys(nodesAhead);
      const body = { contentType: 'application/yaml', text: `meshRange: "off"\n${starSpec(names, 1)}` };
      await mesh.#coordinator.api.send('PUT', '/v1/spec', applyReplySchema, body);
      for (const name of names) {
        mesh.nodes.push(
          await ClockedNode.start({
            name,
            folder: join(folder, name),
            program: programs.agent,
            ahead: nodesAhead[name] ?? 0,
            coordinator: mesh.#coordinator,
          }),
        );
      }
    } catch (error) {
      await mesh[Symbol.asyncDispose]();
      throw error;
    }
    return mesh;
  }

  get pid(): number {
    return this.#coordinator.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
    await this.#coordinator.stop('SIGKILL');
  }
}

interface ClockedNodeOptions {
  readonly name: string;
  readonly folder: string;
  readonly program: string;
  readonly ahead: number;
  readonly coordinator: CoordinatorProcess;
}

/** What has become of a node so far. */
export interface NodeTrace {
  /** Control channels that were opened. */
  readonly openings: number;
  /** TCP connections to the coordinator: channels, renewals, and what was refused. */
  readonly connections: number;
  readonly bytes: number;
  readonly renewals: number;
  readonly renewalsInVain: number;
  readonly cpuSeconds: number;
  /** Commands that change something in charon. */
  readonly loads: number;
}

/** One agent, its clock and its charon, with a proxy on its way to the coordinator. */
export class ClockedNode implements AsyncDisposable {
  readonly name: string;
  readonly clock: SettableClock;
  readonly #agent: AgentProcess;
  readonly #charon: FakeCharon;
  readonly #proxy: TcpProxy;

  private constructor(
    name: string,
    parts: {
      readonly clock: SettableClock;
      readonly agent: AgentProcess;
      readonly charon: FakeCharon;
      readonly proxy: TcpProxy;
    },
  ) {
    this.name = name;
    this.clock = parts.clock;
    this.#agent = parts.agent;
    this.#charon = parts.charon;
    this.#proxy = parts.proxy;
  }

  static async start({ name, folder, program, ahead, coordinator }: ClockedNodeOptions): Promise<ClockedNode> {
    mkdirSync(folder);
    const clock = new SettableClock(join(folder, 'clock'));
    clock.set(ahead);
    const charon = await charonWith(clock);
    const proxy = await TcpProxy.start(coordinator.port);
    const agent = await AgentProcess.start({ program, folder, viciSocket: charon.socketPath, env: clock.env });
    const node = new ClockedNode(name, { clock, agent, charon, proxy });
    try {
      await node.#enrol(coordinator);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  get pid(): number {
    return this.#agent.pid;
  }

  async trace(): Promise<NodeTrace> {
    return {
      openings: this.#agent.timesSaid('control channel open'),
      connections: this.#proxy.connections,
      bytes: this.#proxy.bytes,
      renewals: this.#agent.timesSaid('certificate renewed'),
      renewalsInVain: this.#agent.timesSaid('certificate not renewed'),
      cpuSeconds: (await costOf(this.pid)).cpuSeconds,
      loads: this.#charon.commands.filter((command) => /^(?:un)?load-/.test(command)).length,
    };
  }

  /** Its channel is open, and nothing is wrong with its certificates. */
  async isWell(): Promise<boolean> {
    const { coordinator, certificates, problems } = await this.#agent.status();
    return (
      coordinator.state === 'connected' &&
      certificates.every(({ problem }) => problem === null) &&
      !problems.some((problem) => problem.includes('certificate'))
    );
  }

  async isConnected(): Promise<boolean> {
    return (await this.#agent.status()).coordinator.state === 'connected';
  }

  /** Breaks its connections once. */
  cut(): void {
    this.#proxy.cut();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.stop('SIGKILL');
    await this.#proxy[Symbol.asyncDispose]();
    await this.#charon[Symbol.asyncDispose]();
  }

  async #enrol({ api }: CoordinatorProcess): Promise<void> {
    const request = { contentType: 'application/json', text: JSON.stringify({ node: this.name, ttlSeconds: 3600 }) };
    const { token } = await api.send('POST', '/v1/tokens', tokenReplySchema, request);
    const text = JSON.stringify({ coordinator: this.#proxy.url, token });
    await this.#agent.api.send('POST', '/v1/enroll', enrollResultSchema, { contentType: 'application/json', text });
    await waitFor({
      what: `${this.name} with its desired state in charon`,
      observe: () => this.#agent.status(),
      until: ({ desired }) => desired.applied !== null,
      timeoutMs: UP_MS,
    });
  }
}

/** It tells its start by the node's clock, as charon does: derived from its uptime whenever it is asked. */
async function charonWith(clock: SettableClock): Promise<FakeCharon> {
  const charon = await FakeCharon.start();
  const startedMs = Date.now() - CHARON_UPTIME_MS;
  const byPriority = { critical: 0, high: 0, medium: 0, low: 0 };
  charon.on('stats', () => ({
    uptime: { running: '1 day', since: new Date(startedMs + clock.aheadSeconds * 1000).toISOString() },
    workers: { total: 16, idle: 11, active: byPriority },
    queues: byPriority,
    scheduled: 0,
    ikesas: { total: 0, 'half-open': 0 },
    plugins: ['vici'],
  }));
  return charon;
}
