import { spawn, type ChildProcess } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { LabError, lastLines } from './run.ts';
import { waitFor } from './wait-for.ts';

const PRIORITY = -10;

export interface LabProcessOptions {
  /** For messages. */
  readonly name: string;
  readonly argv: readonly string[];
  /** Takes standard output and error, after what it holds already. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A long-running program of the lab, in a session of its own: Ctrl-C in the terminal does not reach it. */
export class LabProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;

  private constructor({ name, logFile }: LabProcessOptions, child: ChildProcess) {
    this.name = name;
    this.logFile = logFile;
    this.#child = child;
  }

  static async start(options: LabProcessOptions): Promise<LabProcess> {
    const [file = '', ...args] = options.argv;
    const log = await open(options.logFile, 'a');
    try {
      const stdio = ['ignore', log.fd, log.fd] as const;
      const child = spawn(file, args, { detached: true, stdio: [...stdio], env: { ...process.env, ...options.env } });
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
      return new LabProcess(options, child);
    } finally {
      await log.close();
    }
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new LabError('process-died', `${this.name} was never started`);
    return pid;
  }

  /** Gives it the processors before other programs, also before those of other sessions where the kernel groups by them. */
  async goBeforeOthers(): Promise<void> {
    setPriority(this.pid, PRIORITY);
    await writeFile(`/proc/${this.pid}/autogroup`, `${PRIORITY}`).catch(() => undefined);
  }

  /** Throws LabError `process-died`, with the end of the log, unless the program is running. */
  async assertRunning(): Promise<void> {
    if (this.running) return;
    const log = lastLines(await readFile(this.logFile, 'utf8'));
    throw new LabError('process-died', `${this.name}: exit ${this.#child.exitCode ?? this.#child.signalCode}: ${log}`);
  }

  /** Sends a signal to a running program and waits until it has ended; throws LabError when that takes over 15 s. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.running) this.#child.kill(signal);
    await waitFor({
      what: `${this.name} to end after ${signal}`,
      observe: () => Promise.resolve({ running: this.running }),
      until: ({ running }) => !running,
      timeoutMs: 15_000,
      intervalMs: 20,
    });
  }

  /** Lets this process end before the program does. */
  release(): void {
    this.#child.unref();
  }
}
