import { readdirSync, readFileSync } from 'node:fs';

/** Looks at a process so often: before its exec it is a copy of its parent. */
const LOOKS = 4;
const INTERVAL_MS = 25;

/** Shows the command line and the environment of every process that is started on this machine meanwhile. */
export class ProcessWatch implements Disposable {
  readonly #seen: (data: Uint8Array) => void;
  readonly #looks = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  /** How many there were. */
  processes = 0;

  constructor(seen: (data: Uint8Array) => void) {
    this.#seen = seen;
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const pids = new Set(readdirSync('/proc').filter((name) => /^\d+$/.test(name)));
    for (const pid of this.#looks.keys()) if (!pids.has(pid)) this.#looks.delete(pid);
    for (const pid of pids) {
      const looks = this.#looks.get(pid) ?? 0;
      this.#looks.set(pid, looks + 1);
      if (looks === 0) this.processes += 1;
      if (looks < LOOKS) this.#show(pid);
    }
  }

  #show(pid: string): void {
    try {
      for (const file of ['cmdline', 'environ']) this.#seen(readFileSync(`/proc/${pid}/${file}`));
    } catch {
      // It has ended.
    }
  }
}
