import { access, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { LabError } from './run.ts';
import type { ProcessIdentity } from './process-identity.ts';

/**
 * A lab's folder, directly below the system's folder for temporary files. Its name says whose it is, so that it has an
 * owner from the moment it exists, and one rename hands it to another: `cygnet-lab-ID-PID-STARTTICKS`.
 */
export interface StateFolder {
  readonly id: string;
  readonly path: string;
  readonly owner: ProcessIdentity;
}

const FOLDER_NAME = /^cygnet-lab-([a-z0-9]{1,8})-(\d+)-(\d+)$/;

/** Throws LabError unless an id is one to eight lower-case letters and digits. */
export async function createStateFolder(id: string, owner: ProcessIdentity): Promise<StateFolder> {
  const folder = folderOf(id, owner);
  if (parseName(basename(folder.path)) === undefined)
    throw new LabError('bad-argument', `lab id ${JSON.stringify(id)}: wanted are one to eight of a-z and 0-9`);
  await mkdir(folder.path);
  return folder;
}

export async function listStateFolders(): Promise<readonly StateFolder[]> {
  const names = await readdir(tmpdir());
  return names.map(parseName).filter((folder) => folder !== undefined);
}

/** Makes `owner` the folder's only owner; undefined when another process was faster. */
export function takeOver(folder: StateFolder, owner: ProcessIdentity): Promise<StateFolder | undefined> {
  const taken = folderOf(folder.id, owner);
  return rename(folder.path, taken.path).then(
    () => taken,
    () => undefined,
  );
}

/** Marks a lab as left for a look: it outlives its owner, until it is removed by its id. */
export async function keep(folder: StateFolder): Promise<void> {
  await writeFile(join(folder.path, 'kept'), '');
}

export function isKept(folder: StateFolder): Promise<boolean> {
  return access(join(folder.path, 'kept')).then(
    () => true,
    () => false,
  );
}

function folderOf(id: string, owner: ProcessIdentity): StateFolder {
  return { id, path: join(tmpdir(), `cygnet-lab-${id}-${owner.pid}-${owner.startTicks}`), owner };
}

function parseName(name: string): StateFolder | undefined {
  const [, id, pid, startTicks] = FOLDER_NAME.exec(name) ?? [];
  return id === undefined ? undefined : folderOf(id, { pid: Number(pid), startTicks: Number(startTicks) });
}
