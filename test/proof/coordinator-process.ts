import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { LocalApi } from '../../src/cli/local-api.ts';

export interface CoordinatorSetup {
  /** Path of the compiled `cygnet-coordinator`. */
  readonly program: string;
  /** Its state, its socket and its configuration are in there. */
  readonly folder: string;
  readonly logLevel?: 'info' | 'silent';
  /** 0 takes a free one. */
  readonly port?: number;
  /** Of coordinator.yaml, beside what it needs. */
  readonly settings?: object;
  /** Beside this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What to put in front of its command line; then it can be ended by SIGKILL only, together with that. */
  readonly under?: readonly string[];
}

/** A coordinator as a process of its own, on loopback. */
export class CoordinatorProcess {
  readonly port: number;
  readonly api: LocalApi;
  readonly #child: ChildProcess;
  /** It leads a group of processes. */
  readonly #isGroup: boolean;

  private constructor(child: ChildProcess, { folder, under }: CoordinatorSetup, port: number) {
    this.#child = child;
    this.#isGroup = under !== undefined;
    this.port = port;
    this.api = new LocalApi({ socketPath: join(folder, 'api.sock'), service: 'cygnet-coordinator' });
  }

  /** Resolves when it is ready; rejects when it ends before, with what it said. */
  static async start(setup: CoordinatorSetup): Promise<CoordinatorProcess> {
    const { program, folder, port = 0, settings, env, under = [] } = setup;
    mkdirSync(folder, { recursive: true });
    const config = join(folder, 'coordinator.yaml');
    writeFileSync(config, JSON.stringify({ ...configOf(folder, port), ...settings }));
    const [file, ...args] = [...under, process.execPath, program, '--config', config];
    const child = spawn(file, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
      detached: under.length > 0,
    });
    return new CoordinatorProcess(child, setup, await readyPort(child));
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return;
    const ended = once(this.#child, 'exit');
    if (this.#isGroup) process.kill(-this.pid, signal);
    else this.#child.kill(signal);
    await ended;
  }
}

/** A configuration for loopback; JSON is YAML. */
export function configOf(folder: string, port: number): object {
  return {
    mesh: 'proof',
    subject: 'O=Proof',
    listen: `127.0.0.1:${port}`,
    advertise: ['127.0.0.1'],
    stateDir: join(folder, 'state'),
    apiSocket: join(folder, 'api.sock'),
  };
}

/** Reads its log for ever, so that it never waits for a reader. */
function readyPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const lines = createInterface({ input: child.stderr ?? process.stdin });
    lines.on('line', (line) => {
      const port = /"port":(\d+),.*"msg":"ready"/.exec(line)?.[1];
      if (port !== undefined) resolve(Number(port));
      if (said.length < 20) said.push(line);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the coordinator ended with ${code}: ${said.join(' ')}`)));
  });
}
