import { readFileSync } from 'node:fs';

/** The text of a file of a process, `/proc/PID/NAME`; empty when the process has ended. */
export function procFile(pid: number | string | undefined, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
