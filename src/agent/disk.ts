import { readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { makeFolderDurably, writeDurably } from '../durable-file.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { digestOf } from '../json.ts';

/** A file of the agent's is there but cannot be used, or cannot be written or removed. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

/** More than any state within the limits of the control channel. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** A JSON file with a checksum that is replaced whole: after a crash there is the old or the new one, never neither. */
export class StateFile<T> {
  readonly #path: string;
  readonly #schema: z.ZodType<T>;
  readonly #keepsPrevious: boolean;
  /** The file is of no use: it must not take the place of the copy before it. */
  #isUnusable = false;

  /** With `keepsPrevious`, the value before the last one stays beside it, as `….previous`: see {@link readEither}. */
  constructor(
    path: string,
    schema: z.ZodType<T>,
    { keepsPrevious = false }: { readonly keepsPrevious?: boolean } = {},
  ) {
    this.#path = path;
    this.#schema = schema;
    this.#keepsPrevious = keepsPrevious;
  }

  /** The value, or undefined when the file is not there. Throws a StateFileError when it is unreadable or altered. */
  read(): T | undefined {
    return this.#read(this.#path);
  }

  /**
   * What `use` makes of the value or, when the file is damaged or gone, or `use` throws, of the value before it. Undefined
   * when neither is of use; `onUnusable` hears of each that is not.
   */
  readEither<U>(use: (value: T) => U, onUnusable: (error: Error) => void): U | undefined {
    for (const path of [this.#path, previousOf(this.#path)]) {
      try {
        const value = this.#read(path);
        if (value !== undefined) return use(value);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (path === this.#path) this.#isUnusable = true;
        onUnusable(error);
      }
    }
    return undefined;
  }

  /** Like `read`, for a value that can be had again: one that cannot be used is as good as none, and is told of. */
  readIfUsable(onUnusable: (error: StateFileError) => void): T | undefined {
    try {
      return this.read();
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      onUnusable(error);
      return undefined;
    }
  }

  /** Returns when the value is on disk (mode 0600). Throws a StateFileError; then the old value or this one is. */
  write(value: T): void {
    try {
      makeFolderDurably(dirname(this.#path));
      const previous = this.#keepsPrevious && !this.#isUnusable ? previousOf(this.#path) : undefined;
      writeDurably(this.#path, `${JSON.stringify({ sha256: digestOf(value), value })}\n`, 0o600, previous);
      this.#isUnusable = false;
    } catch (cause) {
      throw new StateFileError(`${this.#path}: ${messageOf(cause)}`, { cause });
    }
  }

  /** What was written last has come to nothing: the next write leaves the copy before it where it is. */
  discount(): void {
    this.#isUnusable = true;
  }

  #read(path: string): T | undefined {
    try {
      const bytes = readFileSync(path);
      if (bytes.length > FILE_BYTES_MAX) throw new StateFileError(`${path} is larger than ${FILE_BYTES_MAX} bytes`);
      return this.#parse(path, bytes.toString('utf8'));
    } catch (cause) {
      if (systemCodeOf(cause) === 'ENOENT') return undefined;
      if (cause instanceof StateFileError) throw cause;
      throw new StateFileError(`${path}: ${messageOf(cause)}`, { cause });
    }
  }

  /** Removes the file; nothing when there is none. Throws a StateFileError. */
  remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch (cause) {
      throw new StateFileError(`${this.#path}: ${messageOf(cause)}`, { cause });
    }
  }

  #parse(path: string, text: string): T {
    const file: unknown = JSON.parse(text);
    if (file === null || typeof file !== 'object' || !('sha256' in file) || !('value' in file)) {
      throw new StateFileError(`${path} is no file of this agent's`);
    }
    if (digestOf(file.value) !== file.sha256) throw new StateFileError(`${path} is damaged: its checksum does not fit`);
    return this.#schema.parse(file.value);
  }
}

function previousOf(path: string): string {
  return `${path}.previous`;
}
