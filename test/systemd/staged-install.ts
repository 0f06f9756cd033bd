import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A small prepared tree in place of a build, and an empty root to install into. */
export interface Staging extends Disposable {
  readonly tree: string;
  readonly root: string;
  /** Runs scripts/install with this tree and root and more arguments. */
  install(...args: readonly string[]): Promise<Outcome>;
}

/** Runs a program to its end, whatever its exit code. */
export function outcomeOf(program: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((done) => {
    execFile(program, args, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      done({ exitCode, stdout, stderr });
    });
  });
}

export function makeStaging(): Staging {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-install-'));
  const tree = join(folder, 'tree');
  const root = join(folder, 'root');
  mkdirSync(root);
  mkdirSync(join(tree, 'dist/bin'), { recursive: true });
  mkdirSync(join(tree, 'node_modules/zod'), { recursive: true });
  cpSync('systemd', join(tree, 'systemd'), { recursive: true });
  cpSync('package.json', join(tree, 'package.json'));
  writeFileSync(join(tree, 'node_modules/zod/index.js'), '');
  for (const program of ['cygnet-agent', 'cygnet-coordinator', 'agentctl', 'meshctl']) {
    writeFileSync(join(tree, `dist/bin/${program}.js`), `#!/usr/bin/env node\nconsole.log('${program}');\n`);
  }
  return {
    tree,
    root,
    install: (...args) => outcomeOf(resolve('scripts/install'), [...args, '--from', tree, '--prefix', root]),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}
