import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { agentEventSchema, enrollResultSchema, renewResultSchema, type AgentStatus } from '../../src/agent/api.ts';
import { heldStateOf } from '../../src/agent/state-acceptance.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import { applyReplySchema, nodesReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { AgentProcess, stateDirIn } from './agent-process.ts';
import type { CoordinatorProcess } from './coordinator-process.ts';
import { starSpec } from './nodes.ts';
import { callsIn, isInjected, straceArgv, type Fault, type Injection } from './strace.ts';

const DEADLINE_MS = 30_000;
/** Files of the state folder, each with the names that a write goes through. */
const FILES = ['identity', 'enrolment', 'trust', 'desired', 'ledger'];
const SUFFIXES = ['', '.new', '.previous', '.previous.new'];

export interface LifeOptions {
  readonly node: string;
  readonly program: string;
  readonly folder: string;
  readonly coordinator: CoordinatorProcess;
  readonly viciSocket: string;
}

/** Times that a step is tried. A second failure can only be another one. */
const TRIES_MAX = 2;

/**
 * One agent, from nothing to a renewal. When it was killed it is started again, and goes on where it was; when a call on one
 * of its files has failed it goes on itself, and what it could not do is asked of it once more.
 */
export class Life {
  readonly #options: LifeOptions;
  readonly #log: string;
  #injection: Injection | undefined;
  /** The latest generation that the agent or the coordinator has said that the node has. */
  #acknowledged = 0;
  #token = '';
  #agent: AgentProcess | undefined;
  #isKilled = false;
  /** What it has said of the call that failed. */
  #hasTold = false;
  problem: string | undefined;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#log = `${options.folder}.strace`;
  }

  get calls(): readonly string[] {
    return callsIn(readFileSync(this.#log, 'utf8'));
  }

  /** Whether it has come to the call. */
  get isMet(): boolean {
    return this.#isKilled || isInjected(readFileSync(this.#log, 'utf8'));
  }

  async run(injection: Injection | undefined): Promise<void> {
    const { node, folder, coordinator } = this.#options;
    this.#injection = injection;
    try {
      await this.#apply(1);
      const request = { contentType: 'application/json', text: JSON.stringify({ node, ttlSeconds: 3600 }) };
      ({ token: this.#token } = await coordinator.api.send('POST', '/v1/tokens', tokenReplySchema, request));
      const paths = FILES.flatMap((name) =>
        SUFFIXES.map((suffix) => join(stateDirIn(folder), `${name}.json${suffix}`)),
      );
      const traced = { paths: [stateDirIn(folder), ...paths, folder], log: this.#log, ...(injection && { injection }) };
      await this.#start(straceArgv(traced));
      await this.#step(() => this.#enrol());
      await this.#step(() => this.#untilApplied());
      await this.#apply(2);
      await this.#step(() => this.#untilApplied());
      await this.#step(() => this.#renew());
      await this.#step(() => this.#untilProven());
      if (injection !== undefined && injection.fault !== 'KILL') await this.#lookBack(injection.fault);
      await this.#agent?.stop('SIGTERM');
      this.#look();
    } finally {
      await this.#agent?.stop('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Each step may be taken again: by then it may have been taken, or not. */
  async #step(step: () => Promise<void>, tries = 1): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (tries === TRIES_MAX || !(await this.#isMeant(error))) throw error;
      this.#look();
      await this.#step(step, tries + 1);
    }
  }

  /** The step came to nothing because of the fault. What was killed lives again. */
  async #isMeant(error: unknown): Promise<boolean> {
    const fault = this.#injection?.fault;
    if (fault !== undefined && fault !== 'KILL') return error instanceof CliError && this.#tells(error.message);
    if (this.#isKilled || !(await this.#hasDied())) return false;
    this.#isKilled = true;
    await this.#noteTold();
    this.#look();
    await this.#start();
    return true;
  }

  async #start(under?: readonly string[]): Promise<void> {
    const { program, folder, viciSocket } = this.#options;
    const setup = { program, folder, viciSocket, ...(under && { under }) };
    try {
      this.#agent = await AgentProcess.start(setup);
    } catch (error) {
      // Killed before it was ready.
      if (under === undefined || this.#injection?.fault !== 'KILL') throw error;
      this.#isKilled = true;
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
      const wanted = await this.#wanted();
      this.#acknowledged = Math.max(this.#acknowledged, desired.generation ?? 0, wanted.appliedGeneration ?? 0);
      this.#look();
      return desired.applied !== null && desired.applied === wanted.wantedGeneration;
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

  async #status(): Promise<AgentStatus> {
    if (this.#agent === undefined) throw new Error('there is no agent');
    const status = await this.#agent.status();
    status.problems.forEach((problem) => this.#tells(problem));
    return status;
  }

  /** Whether it names the fault. */
  #tells(text: string): boolean {
    const { fault } = this.#injection ?? {};
    const isNamed = fault !== undefined && text.includes(fault);
    this.#hasTold ||= isNamed;
    return isNamed;
  }

  /** At how it went on after a call that failed. */
  async #lookBack(fault: Fault): Promise<void> {
    for await (const event of this.#api.stream('/v1/events', agentEventSchema)) this.#tells(event.message);
    this.#agent?.warnings.forEach((line) => this.#tells(line));
    if (this.isMet && !this.#hasTold) this.problem ??= `nothing told of the ${fault}`;
    const leftOver = readdirSync(stateDirIn(this.#options.folder)).filter((name) => name.endsWith('.new'));
    if (leftOver.length > 0) this.problem ??= `it left ${leftOver.join(', ')} behind`;
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
