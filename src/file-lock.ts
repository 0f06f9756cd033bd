import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { text as textOf } from 'node:stream/consumers';
import { messageOf } from './errors.ts';

/** Whoever holds a lock needs milliseconds. */
const WAIT_SECONDS = 10;

/**
 * Runs `work` while no other process holds the lock on this file, which is made if it is not there, and stays. The kernel
 * drops a lock with its process, however that ends. Rejects when the lock is not to be had within ten seconds.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const file = openSync(path, 'a', 0o600);
  try {
    await lock(file).catch((cause: unknown) => {
      throw new Error(`${path} could not be locked: ${messageOf(cause)}`, { cause });
    });
    return await work();
  } finally {
    closeSync(file);
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
