import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('../src', import.meta.url));

/** Files are named by their path below src, such as `ike/sa.ts`; the folder of a root file is the empty text. */
const FILES = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .sort();

/** Who may import whom, besides its own folder and the root files. A file stands for itself alone. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  '': [],
  vici: [],
  ike: ['vici/index.ts'],
  reconcile: ['ike'],
  paths: ['ike'],
  control: [],
  identity: [],
  agent: ['vici/index.ts', 'ike', 'reconcile', 'paths', 'control', 'identity'],
  coordinator: ['ike', 'control', 'identity'],
  cli: ['agent/api.ts', 'coordinator/api.ts', 'ike', 'identity'],
  bin: ['agent', 'coordinator', 'cli'],
};

const IMPORT = /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g;

/** What a source imports or exports from elsewhere, in any form, without what only stands in comments. */
function specifiersOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  return [...code.matchAll(IMPORT)].map(([, from, bare]) => from ?? bare ?? '');
}

const specifiers = new Map(FILES.map((file) => [file, specifiersOf(readFileSync(`${SOURCE}/${file}`, 'utf8'))]));

const importsOf = (file: string): string[] =>
  (specifiers.get(file) ?? [])
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.normalize(posix.join(posix.dirname(file), specifier)));

const folderOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : '');

function mayImport(file: string, imported: string): boolean {
  const from = folderOf(file);
  const to = folderOf(imported);
  return to === from || to === '' || (MAY_IMPORT[from] ?? []).some((allowed) => allowed === to || allowed === imported);
}

/** The first cycle on the way from a file, as the files in it. */
function cycleFrom(file: string, way: readonly string[], done: Set<string>): readonly string[] | undefined {
  if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
  if (done.has(file)) return undefined;
  for (const imported of importsOf(file)) {
    const cycle = cycleFrom(imported, [...way, file], done);
    if (cycle !== undefined) return cycle;
  }
  done.add(file);
  return undefined;
}

describe('the reader of imports', () => {
  it.each([
    ["import { a } from './a.ts';", './a.ts'],
    ["import type { A } from '../a.ts';", '../a.ts'],
    ["import a, {\n  b,\n  type C,\n} from './a.ts';", './a.ts'],
    ["import * as a from 'a';", 'a'],
    ["import './a.ts';", './a.ts'],
    ["export { a } from './a.ts';", './a.ts'],
    ["export type { A } from './a.ts';", './a.ts'],
    ["export * from './a.ts';", './a.ts'],
    ["const a = await import('./a.ts');", './a.ts'],
    ["let x: import('./a.ts').A;", './a.ts'],
  ])('finds %j', (source, specifier) => expect(specifiersOf(source)).toEqual([specifier]));

  it.each(["// import './a.ts';", "/** import { a } from './a.ts' */", "export const a = 'from';"])(
    'finds nothing in %j',
    (source) => expect(specifiersOf(source)).toEqual([]),
  );

  it('finds the files that everything hangs on', () => {
    expect(importsOf('bin/cygnet-agent.ts')).toContain('agent/agent.ts');
    expect(importsOf('ike/sa.ts')).toContain('vici/index.ts');
  });
});

describe('the source', () => {
  it('has only folders that the table knows', () =>
    expect([...new Set(FILES.map(folderOf))].filter((folder) => MAY_IMPORT[folder] === undefined)).toEqual([]));

  it.each(FILES)('%s imports only what its folder may', (file) =>
    expect(importsOf(file).filter((imported) => !mayImport(file, imported))).toEqual([]),
  );

  it('imports only files that are there', () =>
    expect(FILES.flatMap(importsOf).filter((imported) => !FILES.includes(imported))).toEqual([]));

  it('has no import cycle', () => {
    const done = new Set<string>();
    expect(FILES.map((file) => cycleFrom(file, [], done)).find((cycle) => cycle !== undefined)).toBeUndefined();
  });

  it('reaches msgpack-lite, whose decoder is not safe, through one file', () =>
    expect(FILES.filter((file) => specifiers.get(file)?.includes('msgpack-lite'))).toEqual(['control/codec.ts']));

  // No time-out and no back-off may go by the wall clock. What does is the validity of certificates and statements, the
  // dates that are shown, and charon's start, which charon tells as a date.
  it('reads the wall clock through the one that can be replaced, but for a few', () => {
    const readers = FILES.filter((file) =>
      /\bDate\.now\(|\bnew Date\(\)/.test(readFileSync(`${SOURCE}/${file}`, 'utf8')),
    );
    expect(readers.filter((file) => !file.startsWith('vici/testing/'))).toEqual([
      'cli/agentctl-netcheck.ts',
      'clock.ts',
      'coordinator/channel-admission.ts',
      'coordinator/restore.ts',
      'coordinator/store.ts',
      'identity/pinned-tls.ts',
      'vici/life.ts',
    ]);
  });

  it('names every file and folder by its subject', () =>
    expect(FILES.filter((file) => /(?:^|\/)(?:utils?|helpers?|common|libs?|types)(?:\.ts$|\/)/.test(file))).toEqual(
      [],
    ));
});
