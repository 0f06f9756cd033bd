import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { systemCodeOf } from './errors.ts';

/**
 * Replaces a file as a whole and returns when it is on disk: after a crash there is the old one or the new one. When it
 * throws there is one of them as well, and usually the old one; what was written of the new one is removed, for a disk
 * that is full needs the space. The old one stays at `previous`, where that is given.
 */
export function writeDurably(path: string, text: string, mode: number, previous?: string): void {
  const temporary = `${path}.new`;
  try {
    withFile(openSync(temporary, 'w', mode), (fd) => {
      writeFileSync(fd, text);
      fsyncSync(fd);
    });
    if (previous !== undefined) keepAs(path, previous);
    renameSync(temporary, path);
  } catch (error) {
    removeIfPossible(temporary);
    if (previous !== undefined) removeIfPossible(`${previous}.new`);
    throw error;
  }
  // Without this a crash may lose the rename.
  syncToDisk(dirname(path));
}

/** Makes a folder and those above it, for this user only, where they are missing. Returns when a crash cannot undo it. */
export function makeFolderDurably(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return;
    if (systemCodeOf(error) !== 'ENOENT') throw error;
    makeFolderDurably(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
  syncToDisk(dirname(path));
}

/** Returns when a file, or the names in a folder, are on disk as they are now. */
export function syncToDisk(path: string): void {
  withFile(openSync(path, 'r'), fsyncSync);
}

/** The file's text, or undefined when there is none. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** What cannot be removed is written over the next time; the failure that led here says more. */
function removeIfPossible(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Nothing that could be done about it.
  }
}

/** By a second name: there is no moment at which the file is missing. */
function keepAs(path: string, previous: string): void {
  const temporary = `${previous}.new`;
  rmSync(temporary, { force: true });
  try {
    linkSync(path, temporary);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return;
    throw error;
  }
  renameSync(temporary, previous);
  // rename(2) leaves both names when they are of one file: after a write that failed the old one is the previous one, too.
  rmSync(temporary, { force: true });
}

function withFile(fd: number, use: (fd: number) => void): void {
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
