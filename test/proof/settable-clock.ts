import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';

/**
 * A wall clock for processes of our own that can be set while they run, as a date command does it for a machine: by
 * libfaketime, in a file that they read each time they ask. Their monotonic clock is the machine's.
 */
export class SettableClock {
  readonly #file: string;
  #aheadSeconds = 0;

  /** The file is made; its folder must be there. */
  constructor(file: string) {
    this.#file = file;
    this.set(0);
  }

  /** How far it is ahead of this machine's. */
  get aheadSeconds(): number {
    return this.#aheadSeconds;
  }

  /** For processes that have this clock. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: libfaketime(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // The times of files stay those of the kernel.
      NO_FAKE_STAT: '1',
    };
  }

  set(aheadSeconds: number): void {
    this.#aheadSeconds = aheadSeconds;
    writeFileSync(`${this.#file}.new`, `${aheadSeconds < 0 ? '-' : '+'}${Math.abs(aheadSeconds)}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** Its path, which has the machine's architecture in it. */
function libfaketime(): string {
  const files = execFileSync('dpkg', ['-L', 'libfaketime'], { encoding: 'utf8' }).split('\n');
  const library = files.find((file) => file.endsWith('/libfaketimeMT.so.1'));
  if (library === undefined) throw new Error('libfaketime is not installed');
  return library;
}
