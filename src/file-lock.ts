import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { text as textOf } from 'node:stream/consumers';
import { messageOf, systemCodeOf } from './errors.ts';

/** Whoever holds a lock needs milliseconds. */
const WAIT_SECONDS = 10;

/**
 * Runs `work` while no other process holds the lock on this file, which is there only as long: a file of another user's would
 * keep this one out. The kernel drops a lock with its process, however that ends. Rejects when the file may not be opened, and
 * when the lock is not to be had within ten seconds.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const file = await openLocked(path);
  try {
    return await work();
  } finally {
    // Before the lock goes, so that it is this file, and nobody can have locked another one.
    rmSync(path, { force: true });
    closeSync(file);
  }
}

/** The file, open and locked. Who held the lock before has removed what it was on: then there is another file to be locked. */
async function openLocked(path: string): Promise<number> {
  for (;;) {
    const file = open(path);
    try {
      await lock(file);
      if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino) return file;
    } catch (cause) {
      closeSync(file);
      throw new Error(`${path} could not be locked: ${messageOf(cause)}`, { cause });
    }
    closeSync(file);
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'EACCES') throw cause;
    const advice = 'if a process of another user has left it behind, remove it';
    throw new Error(`${path} may not be opened by this user: ${advice}`, { cause });
  }
}

/** Node has no call for it. A lock belongs to the open file: flock(1) is lent ours, locks it, and ends. */
async function lock(file: number): Promise<void> {
  const flock = spawn('flock', ['-x', '-w', String(WAIT_SECONDS), '3'], { stdio: ['ignore', 'ignore', 'pipe', file] });
  const [[code], words] = await Promise.all([
    once(flock, 'close') as Promise<[number | null]>,
    flock.stderr === null ? '' : textOf(flock.stderr),
  ]);
  if (code === 0) return;
  throw new Error(words === '' ? `another process has held it for ${WAIT_SECONDS} s` : words.trim());
}
