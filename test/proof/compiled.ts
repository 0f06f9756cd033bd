import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The programs of this folder, compiled for tests that start them as processes. */
export class CompiledProofs implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<CompiledProofs> {
    await mkdir(join(ROOT, 'dist-proof'), { recursive: true });
    const folder = await mkdtemp(join(ROOT, 'dist-proof/test-'));
    await promisify(execFile)(join(ROOT, 'node_modules/.bin/tsc'), [
      '-p',
      join(ROOT, 'test/proof'),
      '--outDir',
      folder,
    ]);
    return new CompiledProofs(folder);
  }

  /** Path of a program by the name of its source, without the extension. */
  program(name: string): string {
    return join(this.#folder, 'test/proof', `${name}.js`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
