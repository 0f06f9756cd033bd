import { readdir, rm } from 'node:fs/promises';
import { run } from './run.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { isKept, listStateFolders, takeOver, type StateFolder } from './state-folder.ts';
import { waitFor } from './wait-for.ts';

/** What the names of a lab's namespaces begin with. */
export function namespacePrefix(id: string): string {
  return `cygnet-${id}-`;
}

/**
 * Removes all that a lab is: the processes in its namespaces (killed, wherever they came from), the namespaces with
 * their interfaces, rules and mounts, the folder. Removing a lab again, or half a lab, is no error.
 */
export async function removeLab(folder: StateFolder): Promise<void> {
  for (const namespace of await namespacesOf(folder.id)) {
    await killAllIn(namespace);
    await run(['ip', 'netns', 'delete', namespace]);
  }
  await rm(folder.path, { recursive: true, force: true, maxRetries: 5 });
}

/** Removes the labs whose owner is dead, save those that were kept on purpose; returns their ids. */
export async function sweepDeadLabs(sweeper: ProcessIdentity): Promise<readonly string[]> {
  const swept: string[] = [];
  for (const folder of await listStateFolders()) {
    if ((await isAlive(folder.owner)) || (await isKept(folder))) continue;
    const taken = await takeOver(folder, sweeper);
    if (taken === undefined) continue;
    await removeLab(taken);
    swept.push(taken.id);
  }
  return swept;
}

/** Removes the lab of this id, kept or not, whose owner is dead; false when there is none. */
export async function removeDeadLab(id: string, sweeper: ProcessIdentity): Promise<boolean> {
  const folder = (await listStateFolders()).find((candidate) => candidate.id === id);
  if (folder === undefined || (await isAlive(folder.owner))) return false;
  const taken = await takeOver(folder, sweeper);
  if (taken !== undefined) await removeLab(taken);
  return taken !== undefined;
}

async function namespacesOf(id: string): Promise<readonly string[]> {
  const names = await readdir('/run/netns').catch((): string[] => []);
  return names.filter((name) => name.startsWith(namespacePrefix(id)));
}

/** A namespace outlives its name while a process is in it, so this looks until none is. */
async function killAllIn(namespace: string): Promise<void> {
  await waitFor({
    what: `the processes in ${namespace} to end`,
    observe: async () => {
      const { stdout } = await run(['ip', 'netns', 'pids', namespace]);
      const pids = stdout.split('\n').filter(Boolean).map(Number);
      for (const pid of pids) kill(pid);
      return pids;
    },
    until: (pids) => pids.length === 0,
    timeoutMs: 10_000,
    intervalMs: 20,
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended since it was listed
  }
}
