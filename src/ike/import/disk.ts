import { closeSync, constants, fstatSync, openSync, opendirSync, readSync, statSync, type Stats } from 'node:fs';
import { messageOf, systemCodeOf } from '../../errors.ts';
import { ImportError } from './import-error.ts';

/** Read access to files, so that tests need none. */
export interface Disk {
  /** The whole file. Throws ImportError `cannot-read`, and `too-much` above `bytesMax`. */
  read(path: string, bytesMax: number): Uint8Array;
  /**
   * Names in a folder, sorted; none when there is no such folder. Throws ImportError when it cannot be read or is too
   * large.
   */
  list(folder: string): readonly string[];
  /** Whether there is a regular file; false also where nobody can tell. */
  isFile(path: string): boolean;
}

const FOLDER_ENTRIES_MAX = 10_000;

/** The machine's own files. Only regular ones are read: a FIFO or a device could block, or never end. */
export const nodeDisk: Disk = { read: readRegularFile, list: listFolder, isFile };

function readRegularFile(path: string, bytesMax: number): Uint8Array {
  let descriptor: number | undefined;
  try {
    // Without O_NONBLOCK opening a FIFO waits for its writer.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    checkFile(path, fstatSync(descriptor), bytesMax);
    return readUpTo(path, descriptor, bytesMax);
  } catch (cause) {
    throw cause instanceof ImportError ? cause : new ImportError('cannot-read', path, reasonOf(cause), { cause });
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function checkFile(path: string, stats: Stats, bytesMax: number): void {
  if (!stats.isFile()) throw new ImportError('cannot-read', path, 'this is no regular file');
  if (stats.size > bytesMax) throw tooLarge(path, bytesMax);
}

/** Reads on until nothing comes: the size that a file claims may be wrong, in /proc it always is. */
function readUpTo(path: string, descriptor: number, bytesMax: number): Uint8Array {
  const buffer = Buffer.alloc(bytesMax + 1);
  let length = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) return Uint8Array.prototype.slice.call(buffer, 0, length);
    length += count;
    if (length > bytesMax) throw tooLarge(path, bytesMax);
  }
}

function tooLarge(path: string, bytesMax: number): ImportError {
  return new ImportError('too-much', path, `the file is larger than ${bytesMax} bytes`);
}

function listFolder(folder: string): readonly string[] {
  try {
    const directory = opendirSync(folder);
    try {
      return entriesOf(folder, () => directory.readSync()?.name).sort();
    } finally {
      directory.closeSync();
    }
  } catch (cause) {
    if (cause instanceof ImportError) throw cause;
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(cause) ?? '')) return [];
    throw new ImportError('cannot-read', folder, reasonOf(cause), { cause });
  }
}

function entriesOf(folder: string, next: () => string | undefined): string[] {
  const names: string[] = [];
  for (let name = next(); name !== undefined; name = next()) {
    if (names.length >= FOLDER_ENTRIES_MAX) {
      throw new ImportError('too-much', folder, `more than ${FOLDER_ENTRIES_MAX} files in the folder`);
    }
    names.push(name);
  }
  return names;
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function reasonOf(cause: unknown): string {
  const code = systemCodeOf(cause);
  if (code === 'ENOENT') return 'there is no such file';
  return code === 'EACCES' || code === 'EPERM' ? 'no permission to read it (try as root)' : messageOf(cause);
}
