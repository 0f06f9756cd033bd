import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ConfigError } from '../config-file.ts';

const run = promisify(execFile);

const GETENT = '/usr/bin/getent';
const TIMEOUT_MS = 5000;

/** A group's name as useradd(8) allows it. */
export const GROUP_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,31}$/;

/** The number of a group of this machine, wherever it is kept. Rejects with a ConfigError when there is none. */
export async function groupIdOf(name: string): Promise<number> {
  try {
    const { stdout } = await run(GETENT, ['group', name], { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    const id = Number(stdout.split(':')[2]);
    if (Number.isSafeInteger(id)) return id;
  } catch (cause) {
    throw new ConfigError(`readGroup: there is no group "${name}" on this machine`, { cause });
  }
  throw new ConfigError(`readGroup: getent does not tell the number of group "${name}"`);
}
