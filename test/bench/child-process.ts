import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Starts a program of this folder as a process of its own, without flags. */
export function startProcess(program: string, args: readonly string[]): ChildProcess {
  return fork(fileURLToPath(new URL(program, import.meta.url)), [...args]);
}

/** The next message of the process; rejects when it ends without one. */
export function messageFrom<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`${child.spawnargs.join(' ')} ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.removeListener('exit', onExit);
      resolve(message as T);
    });
  });
}

/** What a program of this folder has to say. */
export async function inProcess<T>(program: string, args: readonly string[]): Promise<T> {
  const child = startProcess(program, args);
  try {
    return await messageFrom<T>(child);
  } finally {
    child.kill();
  }
}
