import { once } from 'node:events';
import { chmodSync, chownSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { systemCodeOf } from './errors.ts';
import { withFileLock } from './file-lock.ts';

export interface UnixSocketOptions {
  /** In a folder that is made if it is not there. */
  readonly path: string;
  /** File mode; who may write to the file may connect. */
  readonly mode: number;
  /** Its group; the process's own by default. */
  readonly groupId?: number;
}

/**
 * Makes a server listen on a Unix socket, whose file goes when the server closes. A socket file that a killed process
 * left behind is replaced; one that answers belongs to a living process. Rejects then, and when the path cannot be
 * listened on; the server is closed in that case.
 */
export async function listenOnUnixSocket(server: Server, options: UnixSocketOptions): Promise<void> {
  const { path } = options;
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // Of two that find the same stale file, the slower one would remove the socket of the other.
  await withFileLock(`${path}.lock`, () => takePlace(server, options));
  const { ino } = lstatSync(path);
  server.once('close', () => {
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
  });
}

async function takePlace(server: Server, options: UnixSocketOptions): Promise<void> {
  const { path } = options;
  if (isSocket(path) && (await answers(path))) throw new Error(`another process serves ${path}`);
  if (isSocket(path)) rmSync(path, { force: true });
  // Made where nobody else can reach it, and linked to its name when owner, group and mode are right.
  const folder = mkdtempSync(`${dirname(path)}/.`);
  try {
    await bind(server, join(folder, 's'), options);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function bind(server: Server, ownPath: string, { path, mode, groupId }: UnixSocketOptions): Promise<void> {
  const listening = once(server, 'listening');
  server.listen(ownPath);
  await listening;
  if (groupId !== undefined) chownSync(ownPath, process.geteuid?.() ?? -1, groupId);
  chmodSync(ownPath, mode);
  try {
    // Unlike a rename it never replaces anything: of two processes that start at once, one succeeds.
    linkSync(ownPath, path);
  } catch (cause) {
    if (systemCodeOf(cause) !== 'EEXIST') throw cause;
    throw new Error(`${path} is taken: ${isSocket(path) ? 'another process serves it' : 'it is no socket'}`, { cause });
  }
}

/** A file of another kind refuses connections just as a stale socket does, and is not ours to remove. */
function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ECONNREFUSED') return false;
    throw error;
  } finally {
    socket.destroy();
  }
}
