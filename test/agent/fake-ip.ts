import { appendFileSync, chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './temporary-folder.ts';

/** What it says: by words of its arguments, the first that are all there. */
type Says = Readonly<Record<string, string>>;

/** An `ip` at the head of the search path, for as long as a test runs. It says what it is told to, and notes its batches. */
export class FakeIp {
  readonly #folder = temporaryFolder();

  constructor() {
    const program = join(this.#folder, 'ip');
    // It reads its script anew each time.
    writeFileSync(program, `#!/bin/sh\n. ${join(this.#folder, 'answers')}\n`);
    chmodSync(program, 0o755);
    this.says({});
    const before = process.env['PATH'];
    process.env['PATH'] = `${this.#folder}:${before}`;
    onTestFinished(() => {
      process.env['PATH'] = before;
    });
  }

  says(answers: Says): void {
    const cases = Object.entries(answers).map(([words, text]) => `*"${words}"*) echo '${text}' ;;`);
    const batch = `*-batch*) [ ! -e ${this.#refusal} ] || { cat ${this.#refusal} >&2; exit 1; }; cat >>${this.#batches} ;;`;
    const lines = [`echo "$*" >>${this.#calls}`, 'case "$*" in', batch, ...cases, '*) echo "[]" ;;', 'esac'];
    writeFileSync(join(this.#folder, 'answers'), lines.join('\n'));
  }

  /** Batches are refused with this from now on; taken again without. */
  refuses(words?: string): void {
    rmSync(this.#refusal, { force: true });
    if (words !== undefined) appendFileSync(this.#refusal, words);
  }

  /** The lines of all batches since the last call. */
  batched(): string[] {
    return takeLines(this.#batches);
  }

  /** How it was called since the last call. */
  called(): string[] {
    return takeLines(this.#calls);
  }

  get #batches(): string {
    return join(this.#folder, 'batches');
  }

  get #calls(): string {
    return join(this.#folder, 'calls');
  }

  get #refusal(): string {
    return join(this.#folder, 'refusal');
  }
}

function takeLines(file: string): string[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  rmSync(file);
  return lines;
}
