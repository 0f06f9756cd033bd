import { readFileSync, statSync } from 'node:fs';

/** A process waits for the lock on this file, as the kernel tells. */
export function somebodyWaitsFor(file: string): boolean {
  const inode = statSync(file, { throwIfNoEntry: false })?.ino;
  return new RegExp(`^\\d+: -> FLOCK .*:${inode} `, 'm').test(readFileSync('/proc/locks', 'utf8'));
}
