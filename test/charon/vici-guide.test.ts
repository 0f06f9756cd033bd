import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOCKET_IN_THE_GUIDE = '/var/run/charon.vici';

/** A program of the guide and what it must print; `…` stands for anything. */
interface Example {
  readonly title: string;
  readonly program: string;
  readonly output: string;
}

const examples = examplesOf(await readFile(join(ROOT, 'docs/vici.md'), 'utf8'));

function examplesOf(guide: string): readonly Example[] {
  const pattern = /```ts\n(?<program>.*?)```\n\n```text\n(?<output>.*?)```/gs;
  return [...guide.matchAll(pattern)].map(({ groups, index }) => ({
    title: `${guide
      .slice(0, index)
      .match(/^## .*$/gm)
      ?.at(-1)
      ?.slice(3)}, line ${lineOf(guide, index)}`,
    program: groups?.['program'] ?? '',
    output: groups?.['output'] ?? '',
  }));
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

const anything = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('…')
      .map((part) => part.replace(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`))
      .join('.*?')}$`,
  );

describe.runIf(canRunCharon)('the guide docs/vici.md', () => {
  let charon: CharonDaemon;
  let folder: string;

  /** Inside the package, so that its own name resolves; every program is compiled against the built declarations. */
  beforeAll(async () => {
    charon = await CharonDaemon.start();
    await mkdir(join(ROOT, 'dist-docs'), { recursive: true });
    folder = await mkdtemp(join(ROOT, 'dist-docs/guide-'));
    const options = { noEmit: false, rootDir: '.', outDir: 'js', noUnusedLocals: false };
    const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions: options, include: ['*.ts'] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    for (const [index, { program }] of examples.entries()) {
      const source = program.replaceAll(SOCKET_IN_THE_GUIDE, charon.socketPath);
      await writeFile(join(folder, `example-${index}.ts`), source);
    }
    await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error: { stdout: string }) => {
      throw new Error(`the guide does not compile:\n${error.stdout}`);
    });
  });

  afterAll(async () => {
    await charon[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('has its programs in blocks of the kind that is tested here', async () => {
    const guide = await readFile(join(ROOT, 'docs/vici.md'), 'utf8');
    expect(guide.match(/^```ts$/gm)).toHaveLength(examples.length);
    expect(examples.length).toBeGreaterThan(8);
  });

  it.each(examples.map((example, index) => [example.title, index, example] as const))(
    'prints what it says: %s',
    async (_title, index, { output }) => {
      const { stdout } = await run(process.execPath, [join(folder, `js/example-${index}.js`)], { timeout: 20_000 });
      expect(stdout).toMatch(anything(output));
    },
  );
});
