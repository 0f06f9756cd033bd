import { once } from 'node:events';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { systemCodeOf } from './errors.ts';

export interface UnixSocketOptions {
  readonly path: string;
  /** File mode; who may write to the file may connect. */
  readonly mode: number;
}

/**
 * Makes a server listen on a Unix socket. A socket file that a killed process left behind is replaced; one that
 * answers belongs to a living process. Rejects then, and when the path cannot be listened on.
 */
export async function listenOnUnixSocket(server: Server, { path, mode }: UnixSocketOptions): Promise<void> {
  if (isSocket(path) && (await answers(path))) throw new Error(`another process serves ${path}`);
  if (isSocket(path)) rmSync(path, { force: true });
  const listening = once(server, 'listening');
  // Binding happens within the call, so the mode is right from the moment the file exists.
  const umask = process.umask(~mode & 0o777);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await listening;
  chmodSync(path, mode);
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
