import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
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
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    await promisify(execFile)(tsc, ['-p', join(ROOT, 'test/proof'), '--outDir', folder]);
    // Our programs read their version from it.
    await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'));
    return new CompiledProofs(folder);
  }

  /** Path of a program by the name of its source, without the extension. */
  program(name: string): string {
    return join(this.#folder, 'test/proof', `${name}.js`);
  }

  /** Path of one of our own programs. */
  bin(name: string): string {
    return join(this.#folder, 'src/bin', `${name}.js`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
