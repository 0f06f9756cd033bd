import { accessSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { isAlive, identityOf, type ProcessIdentity } from '../lab/process-identity.ts';
import { eventually } from '../vici/eventually.ts';
import { measureInProcess } from './group-process.ts';

/** Starts a program in a session of its own, which starts another, and writes the ids of both. */
const STARTS_TWO = `
  import { spawn } from 'node:child_process';
  import { renameSync, writeFileSync } from 'node:fs';
  process.on('SIGTERM', () => undefined);
  const shell = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const inner = await new Promise((resolve) => shell.stdout.once('data', resolve));
  writeFileSync('pids.new', shell.pid + ' ' + inner);
  renameSync('pids.new', 'pids');
`;

const WAITS = `
  import { existsSync } from 'node:fs';
  import { setTimeout as delay } from 'node:timers/promises';
  while (!existsSync('go-on')) await delay(5);
`;

/** A program of a few lines. */
class Program {
  readonly #folder = temporaryFolder();
  readonly path = join(this.#folder, 'program.mjs');

  constructor(text: string) {
    writeFileSync(this.path, `process.chdir(${JSON.stringify(this.#folder)});\n${text}`);
  }

  measure(signal = new AbortController().signal): ReturnType<typeof measureInProcess> {
    return measureInProcess({ program: this.path, args: ['a'], group: 3, signal });
  }

  goOn(): void {
    writeFileSync(join(this.#folder, 'go-on'), '');
  }

  /** What it has started, once that is there. */
  async started(): Promise<readonly ProcessIdentity[]> {
    const file = join(this.#folder, 'pids');
    await eventually(() => accessSync(file));
    const found = await Promise.all(readFileSync(file, 'utf8').trim().split(' ').map(Number).map(identityOf));
    return found.map((each) => each ?? expect.fail('not running'));
  }
}

async function expectGone(processes: readonly ProcessIdentity[]): Promise<void> {
  await vi.waitFor(async () => expect(await Promise.all(processes.map(isAlive))).toEqual([false, false]), 4000);
}

describe('a group that a process of its own measures', () => {
  it('tells its rows', async () => {
    const row = '{ name: process.argv[2] + process.env.CYGNET_MEASURED_GROUP, ours: NaN }';
    const program = new Program(`process.on('disconnect', () => undefined); process.send({ rows: [${row}] });`);
    expect(await program.measure()).toEqual([{ name: 'a3', ours: Number.NaN }]);
  });

  it('leaves nothing behind when it has told them', async () => {
    const program = new Program(`${STARTS_TWO} ${WAITS} process.send({ rows: [] });`);
    const measured = program.measure();
    const started = await program.started();
    program.goOn();
    expect(await measured).toEqual([]);
    await expectGone(started);
  });

  it('ends at once when it is interrupted, with all that it has started, whatever it does', async () => {
    const program = new Program(`${STARTS_TWO} for (;;);`);
    const interruption = new AbortController();
    const measured = program.measure(interruption.signal);
    const started = await program.started();
    interruption.abort(new Error('enough'));
    await expect(measured).rejects.toThrow('enough');
    await expectGone(started);
  });

  it.each([
    ['the measurement fails', `process.send({ problem: 'no charon' });`, 'no charon'],
    ['it ends without a word', 'process.exit(7);', 'the measuring process ended with 7'],
  ])('says why when %s', async (_what, text, problem) => {
    await expect(new Program(text).measure()).rejects.toThrow(problem);
  });

  it('is not begun after an interruption', async () => {
    await expect(new Program('').measure(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
