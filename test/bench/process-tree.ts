import { readFileSync } from 'node:fs';

/**
 * Kills a process and all that came of it, in whatever groups and sessions. What has lost its parent before is not found.
 * One that has ended meanwhile is no error.
 */
export function killTree(root: number): void {
  const stopped = new Set<number>();
  for (let found = [root]; found.length > 0; found = descendantsOf(root).filter((pid) => !stopped.has(pid))) {
    for (const pid of found) {
      // None of them can start another one, or lose its children, while the rest is looked for.
      signal(pid, 'SIGSTOP');
      stopped.add(pid);
    }
  }
  for (const pid of stopped) signal(pid, 'SIGKILL');
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Those that the first thread has started; none of ours starts any from another. */
function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}
