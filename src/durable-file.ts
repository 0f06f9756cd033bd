import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemCodeOf } from './errors.ts';

/** Replaces a file as a whole and returns when it is on disk: after a crash there is the old one or the new one. */
export function writeDurably(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`;
  withFile(openSync(temporary, 'w', mode), (fd) => {
    writeFileSync(fd, text);
    fsyncSync(fd);
  });
  renameSync(temporary, path);
  // Without this a crash may lose the rename.
  withFile(openSync(dirname(path), 'r'), fsyncSync);
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

function withFile(fd: number, use: (fd: number) => void): void {
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
