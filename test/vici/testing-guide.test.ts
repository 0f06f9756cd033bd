import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const guide = await readFile(join(ROOT, 'docs/vici-testing.md'), 'utf8');

/** The programs of the guide, importing the source instead of the package. */
const programs = [...guide.matchAll(/^## (?<title>.*)$[\s\S]*?```ts\n(?<program>[\s\S]*?)```/gm)].map(({ groups }) => ({
  title: groups?.['title'] ?? '',
  program: (groups?.['program'] ?? '').replaceAll(/'cygnet\/(vici(?:\/testing)?)'/g, "'../../src/$1/index.ts'"),
}));

describe('the programs of the guide docs/vici-testing.md', () => {
  let folder: string;
  beforeAll(async () => {
    await mkdir(join(ROOT, 'dist-docs'), { recursive: true });
    folder = await mkdtemp(join(ROOT, 'dist-docs/testing-'));
    for (const [index, { program }] of programs.entries()) await writeFile(join(folder, `${index}.ts`), program);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('are all found', () => expect(guide.match(/^```ts$/gm)).toHaveLength(programs.length));

  it('compile', { timeout: 60_000 }, async () => {
    const options = { noEmit: true, noUnusedLocals: true };
    const config = { extends: join(ROOT, 'tsconfig.json'), compilerOptions: options, include: ['*.ts'] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const output = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    );
    expect(output).toBe('');
  });

  it.each(programs.map(({ title }, index) => [title, index] as const))('run: %s', async (_title, index) => {
    await import(join(folder, `${index}.ts`));
  });
});

describe('the counterparts of other suites in docs/vici-testing.md', () => {
  const rows = [...guide.matchAll(/^\| .* \| `(?<file>[\w./-]+\.ts)`(?:: (?<title>.*?))? +\|$/gm)];

  it('are many', () => expect(rows.length).toBeGreaterThan(25));

  it.each(rows.map(({ groups }) => [groups?.['file'] ?? '', groups?.['title'] ?? '']))(
    '%s has a test: %s',
    async (file, title) => {
      expect(await readFile(join(ROOT, 'test/vici', file), 'utf8')).toContain(title);
    },
  );
});
