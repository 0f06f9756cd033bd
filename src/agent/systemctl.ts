import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../errors.ts';

const run = promisify(execFile);

export const SYSTEMCTL = '/usr/bin/systemctl';

const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 16 * 1024;
/** Characters of an error that are kept. */
const REASON_MAX = 300;

/** A service by name: no path, no option, no pattern. */
export const SERVICE_NAME = /^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}\.service$/;

/**
 * Asks systemd to restart a service and does not wait for that: a frozen charon is killed only when its time to stop is
 * over. Rejects with systemctl's own words when systemd does not take it, at the latest after ten seconds.
 */
export async function restartService(service: string, systemctl: string): Promise<void> {
  try {
    const argv = ['--no-ask-password', '--no-block', 'restart', service];
    await run(systemctl, argv, { timeout: TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX });
  } catch (cause) {
    throw new Error(reasonOf(cause), { cause });
  }
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return messageOf(thrown);
  const { stderr = '', killed = false } = thrown as Error & { readonly stderr?: string; readonly killed?: boolean };
  if (killed) return `systemctl did not answer within ${TIMEOUT_MS / 1000} s`;
  const text = stderr.trim() === '' ? thrown.message : stderr;
  return text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, REASON_MAX);
}
