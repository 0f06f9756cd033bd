import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemCodeOf } from '../../src/errors.ts';
import { procFile } from './proc-file.ts';

export interface AgentSetup {
  /** Path of the compiled `cygnet-agent`. */
  readonly program: string;
  /** Its state, its sockets and its configuration are in there. */
  readonly folder: string;
  readonly viciSocket: string;
  /** Beside this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What to put in front of its command line. */
  readonly under?: readonly string[];
}

/** Kept of its log for the message about an early end. */
const LINES_KEPT = 20;
/** Kept of what it has warned of, from the beginning on. */
const WARNINGS_KEPT = 100;

const LOOK_INTERVAL_MS = 10;

/** The folder of an agent's state files. */
export function stateDirIn(folder: string): string {
  return join(folder, 'state');
}

/**
 * An agent as a process of its own, in a group of its own: what it has started itself goes with it, and so does what it
 * runs under.
 */
export class AgentProcess {
  readonly api: LocalApi;
  /** Resolves when it has ended. */
  readonly ended: Promise<unknown>;
  /** Lines of its log that tell of something wrong. */
  readonly warnings: string[] = [];
  readonly #child: ChildProcess;
  /** What runs under another program; undefined until it is there, and when it does not. */
  #inner: number | undefined;
  readonly #said = new Map<string, number>();
  readonly #lastLines: string[] = [];
  #ready: () => void = () => undefined;

  private constructor(child: ChildProcess, { folder, under }: AgentSetup) {
    this.#child = child;
    const watch = under === undefined ? undefined : setInterval(() => this.#lookAtInner(), LOOK_INTERVAL_MS);
    this.ended = once(child, 'exit').finally(() => {
      clearInterval(watch);
      this.#signalGroup('SIGKILL');
    });
    this.api = new LocalApi({ socketPath: join(folder, 'agent.sock'), service: 'cygnet-agent' });
    createInterface({ input: child.stderr ?? process.stdin }).on('line', (line) => this.#line(line));
  }

  /** Resolves when it is ready; rejects when it ends before, with what it said. */
  static async start(setup: AgentSetup): Promise<AgentProcess> {
    const { program, folder, viciSocket, env, under = [] } = setup;
    mkdirSync(folder, { recursive: true });
    const config = join(folder, 'agent.yaml');
    const settings = {
      viciSocket,
      stateDir: stateDirIn(folder),
      socket: join(folder, 'agent.sock'),
      reflectorPorts: [],
    };
    // JSON is YAML.
    writeFileSync(config, JSON.stringify(settings));
    const [file, ...args] = [...under, process.execPath, program, '--config', config];
    const child = spawn(file, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
      detached: true,
    });
    const agent = new AgentProcess(child, setup);
    await agent.#untilReady();
    return agent;
  }

  /** Of the agent itself, whatever it runs under. */
  get pid(): number {
    const pid = this.#inner ?? this.#child.pid;
    if (pid === undefined) throw new Error('the agent was never started');
    return pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** How often its log has had this message. */
  timesSaid(message: string): number {
    return this.#said.get(message) ?? 0;
  }

  status(): Promise<AgentStatus> {
    return this.api.get('/v1/status', statusSchema);
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.isRunning) process.kill(this.pid, signal);
    await this.ended;
  }

  async #untilReady(): Promise<void> {
    const ready = new Promise<void>((resolve) => (this.#ready = resolve));
    const isReady = await Promise.race([ready.then(() => true), this.ended.then(() => false)]);
    if (!isReady) throw new Error(`the agent ended before it was ready: ${this.#lastLines.join(' ')}`);
  }

  /** The program above waits also for what the agent has left behind. */
  #lookAtInner(): void {
    if (this.#inner !== undefined) {
      // Not the program above, which has a log to finish.
      if (!existsSync(`/proc/${this.#inner}`)) this.#signalGroup('SIGTERM');
      return;
    }
    const { pid } = this.#child;
    const children = procFile(pid, `task/${pid}/children`).split(' ');
    // strace begins with children that try out what it may do.
    const inner = children.find((child) => procFile(child, 'cmdline').startsWith(process.execPath));
    if (inner !== undefined) this.#inner = Number(inner);
  }

  #signalGroup(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      if (systemCodeOf(error) !== 'ESRCH') throw error;
    }
  }

  #line(line: string): void {
    this.#lastLines.push(line);
    if (this.#lastLines.length > LINES_KEPT) this.#lastLines.shift();
    if (/"level":[456]0/.test(line) && this.warnings.length < WARNINGS_KEPT) this.warnings.push(line);
    const message = /"msg":"([^"]*)"/.exec(line)?.[1];
    if (message === undefined) return;
    this.#said.set(message, this.timesSaid(message) + 1);
    if (message === 'ready') this.#ready();
  }
}
