import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { enrollResultSchema, renewResultSchema, type AgentStatus } from '../../src/agent/api.ts';
import { heldStateOf } from '../../src/agent/state-acceptance.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import { applyReplySchema, nodesReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { messageOf } from '../../src/errors.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { AgentProcess, stateDirIn } from './agent-process.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { starSpec } from './nodes.ts';
import type { Findings } from './proof.ts';
import { callsIn, pointName, pointsOf, straceArgv, type CallPoint } from './strace.ts';

export interface AgentCrashOptions {
  /** Paths of the compiled programs. */
  readonly agent: string;
  readonly coordinator: string;
  /** Which of all points are tried. */
  readonly choose: (points: readonly CallPoint[]) => readonly CallPoint[];
  /** Lives that are lived at once. */
  readonly lanes: number;
}

const DEADLINE_MS = 30_000;
/** Files of the state folder, each with the names that a write goes through. */
const FILES = ['identity', 'enrolment', 'trust', 'desired', 'ledger'];
const SUFFIXES = ['', '.new', '.previous', '.previous.new'];

/**
 * Lives the life of an agent (enrolment, a state, another state, a renewal) once for each system call on its state folder
 * that it takes, and kills it at that call. Says what was wrong: files that are neither the old nor the new ones, a
 * generation that is older than what was acknowledged, a life that could not go on.
 */
export async function agentCrashPoints(options: AgentCrashOptions): Promise<Findings> {
  const wrong: string[] = [];
  const missed: string[] = [];
  const lanes = await Promise.all(Array.from({ length: options.lanes }, () => Lane.open(options)));
  try {
    const waiting = [...options.choose(pointsOf((await lanes[0]?.rehearsal()) ?? []))];
    const cases = waiting.length;
    const work = async (lane: Lane): Promise<void> => {
      for (let point = waiting.shift(); point !== undefined; point = waiting.shift()) {
        const { problem, isKilled } = await lane.live(point);
        if (problem !== undefined) wrong.push(`killed at ${pointName(point)}: ${problem}`);
        else if (!isKilled) missed.push(pointName(point));
      }
    };
    await Promise.all(lanes.map(work));
    return { cases: cases - missed.length, wrong, seen: { 'points that a life did not come to': missed.length } };
  } finally {
    await Promise.all(lanes.map((lane) => lane[Symbol.asyncDispose]()));
  }
}

/** A coordinator and a charon for one life after the other. */
class Lane implements AsyncDisposable {
  readonly #options: AgentCrashOptions;
  readonly #folder: string;
  readonly #coordinator: CoordinatorProcess;
  readonly #charon: FakeCharon;
  #lives = 0;

  private constructor(options: AgentCrashOptions, folder: string, coordinator: CoordinatorProcess, charon: FakeCharon) {
    this.#options = options;
    this.#folder = folder;
    this.#coordinator = coordinator;
    this.#charon = charon;
  }

  static async open(options: AgentCrashOptions): Promise<Lane> {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-agent-crash-'));
    const coordinator = await CoordinatorProcess.start({ program: options.coordinator, folder });
    return new Lane(options, folder, coordinator, await FakeCharon.start());
  }

  /** The system calls of a life that nothing happens to. */
  async rehearsal(): Promise<readonly string[]> {
    const life = await this.#begin();
    await life.run(undefined);
    return life.calls;
  }

  async live(point: CallPoint): Promise<{ readonly problem: string | undefined; readonly isKilled: boolean }> {
    const life = await this.#begin();
    try {
      await life.run(point);
      return { problem: life.problem, isKilled: life.isKilled };
    } catch (error) {
      return { problem: life.problem ?? messageOf(error), isKilled: life.isKilled };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#coordinator.stop('SIGKILL');
    await this.#charon[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }

  async #begin(): Promise<Life> {
    this.#lives += 1;
    await this.#charon.restart();
    const node = `node-${this.#lives}`;
    return new Life({
      node,
      program: this.#options.agent,
      folder: join(this.#folder, node),
      coordinator: this.#coordinator,
      viciSocket: this.#charon.socketPath,
    });
  }
}

interface LifeOptions {
  readonly node: string;
  readonly program: string;
  readonly folder: string;
  readonly coordinator: CoordinatorProcess;
  readonly viciSocket: string;
}

/** One agent, from nothing to a renewal. When it was killed it is started again, and goes on where it was. */
class Life {
  readonly #options: LifeOptions;
  readonly #log: string;
  /** The latest generation that the agent or the coordinator has said that the node has. */
  #acknowledged = 0;
  #token = '';
  #agent: AgentProcess | undefined;
  isKilled = false;
  problem: string | undefined;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#log = `${options.folder}.strace`;
  }

  get calls(): readonly string[] {
    return callsIn(readFileSync(this.#log, 'utf8'));
  }

  async run(point: CallPoint | undefined): Promise<void> {
    const { node, folder, coordinator } = this.#options;
    try {
      await this.#apply(1);
      const request = { contentType: 'application/json', text: JSON.stringify({ node, ttlSeconds: 3600 }) };
      ({ token: this.#token } = await coordinator.api.send('POST', '/v1/tokens', tokenReplySchema, request));
      const paths = FILES.flatMap((name) =>
        SUFFIXES.map((suffix) => join(stateDirIn(folder), `${name}.json${suffix}`)),
      );
      const injection = point && { ...point, fault: 'KILL' as const };
      const traced = { paths: [stateDirIn(folder), ...paths, folder], log: this.#log, ...(injection && { injection }) };
      await this.#start(straceArgv(traced));
      await this.#step(() => this.#enrol());
      await this.#step(() => this.#untilApplied());
      await this.#apply(2);
      await this.#step(() => this.#untilApplied());
      await this.#step(() => this.#renew());
      await this.#step(() => this.#untilProven());
      await this.#agent?.stop('SIGTERM');
      this.#look();
    } finally {
      await this.#agent?.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Each step may be taken again: by then it may have been taken, or not. */
  async #step(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (this.isKilled || !(await this.#hasDied())) throw error;
      this.isKilled = true;
      await this.#noteTold();
      this.#look();
      await this.#start();
      await step();
    }
  }

  async #start(under?: readonly string[]): Promise<void> {
    const { program, folder, viciSocket } = this.#options;
    const setup = { program, folder, viciSocket, ...(under && { under }) };
    try {
      this.#agent = await AgentProcess.start(setup);
    } catch (error) {
      // Killed before it was ready.
      if (under === undefined) throw error;
      this.isKilled = true;
      this.#agent = await AgentProcess.start({ program, folder, viciSocket });
    }
  }

  /** What it hangs up for is that it was killed, which shows a moment later. */
  async #hasDied(): Promise<boolean> {
    return Promise.race([this.#agent?.ended.then(() => true) ?? true, delay(2000, false)]);
  }

  get #api(): AgentProcess['api'] {
    if (this.#agent === undefined) throw new Error('there is no agent');
    return this.#agent.api;
  }

  async #enrol(): Promise<void> {
    const { coordinator } = this.#options;
    const text = JSON.stringify({ coordinator: coordinator.url, token: this.#token });
    try {
      await this.#api.send('POST', '/v1/enroll', enrollResultSchema, { contentType: 'application/json', text });
    } catch (error) {
      // The try that was cut off had got that far.
      if (!(error instanceof CliError) || !error.message.includes('is enrolled already')) throw error;
    }
  }

  async #renew(): Promise<void> {
    await this.#api.send('POST', '/v1/renew', renewResultSchema);
  }

  /** A change for this node only. */
  async #apply(number: number): Promise<void> {
    const { node, coordinator } = this.#options;
    const text = `meshRange: "off"\n${starSpec([node], number)}`;
    const body = { contentType: 'application/yaml', text };
    await coordinator.api.send('PUT', '/v1/spec?allowMassRemoval=true', applyReplySchema, body);
  }

  /** The state that is wanted is in charon. */
  async #untilApplied(): Promise<void> {
    await this.#until('the desired state in charon', async () => {
      const { desired } = await this.#status();
      this.#acknowledged = Math.max(this.#acknowledged, desired.generation ?? 0);
      return desired.applied !== null && desired.applied === (await this.#wanted()).wantedGeneration;
    });
  }

  /** The new certificates have worked, and what they replaced is gone. */
  async #untilProven(): Promise<void> {
    const { identity } = storedIn(stateDirIn(this.#options.folder));
    await this.#until('certificates that have worked', async () => {
      await this.#status();
      const { channel, ike } = identity.read() ?? {};
      return channel !== undefined && channel.former === undefined && ike?.former === undefined;
    });
  }

  async #until(what: string, isSo: () => Promise<boolean>): Promise<void> {
    for (const endMs = performance.now() + DEADLINE_MS; performance.now() < endMs; await delay(20)) {
      if (await isSo()) return;
    }
    throw new Error(`waited in vain for ${what}; the status: ${JSON.stringify((await this.#status()).problems)}`);
  }

  #status(): Promise<AgentStatus> {
    if (this.#agent === undefined) throw new Error('there is no agent');
    return this.#agent.status();
  }

  async #wanted(): Promise<{ readonly wantedGeneration: number | null; readonly appliedGeneration: number | null }> {
    const { nodes } = await this.#options.coordinator.api.get('/v1/nodes', nodesReplySchema);
    const view = nodes.find(({ name }) => name === this.#options.node);
    return view ?? { wantedGeneration: null, appliedGeneration: null };
  }

  /** What the coordinator has heard before the agent died. */
  async #noteTold(): Promise<void> {
    this.#acknowledged = Math.max(this.#acknowledged, (await this.#wanted()).appliedGeneration ?? 0);
  }

  /** At what is on disk, as an agent does that starts. */
  #look(): void {
    const stateDir = stateDirIn(this.#options.folder);
    const stored = storedIn(stateDir);
    const unusable = (error: Error): void => {
      this.problem ??= error.message;
    };
    const identity = stored.identity.readIfUsable(unusable);
    stored.pendingKeys.readIfUsable(unusable);
    stored.ledger.readIfUsable(unusable);
    const trust = stored.trust.readEither((value) => value, unusable);
    const held = trust && stored.desired.readEither((value) => heldStateOf(value, trust), unusable);
    if (identity !== undefined && trust === undefined) this.problem ??= 'it has an identity, and trusts no key';
    const generation = held?.statement.generation ?? 0;
    if (generation < this.#acknowledged) {
      this.problem ??= `generation ${generation} is on disk, ${this.#acknowledged} was acknowledged`;
    }
  }
}
