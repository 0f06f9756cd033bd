import { readFile } from 'node:fs/promises';

/** What a process has cost so far. */
export interface ProcessCost {
  /** User and system time of all its threads. */
  readonly cpuSeconds: number;
  /** Resident memory now. */
  readonly residentMb: number;
}

/** Linux tells processor time in these, whatever its own clock does (proc(5), USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Nothing of a process that has ended. */
export async function costOf(pid: number): Promise<ProcessCost> {
  const [stat, status] = await Promise.all(
    ['stat', 'status'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
  );
  return parseCost(stat ?? '', status ?? '');
}

/** From `/proc/PID/stat` and `/proc/PID/status`. */
export function parseCost(stat: string, status: string): ProcessCost {
  // The second field is the program's name in parentheses and may hold anything; user and system time are 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  const [, residentKb = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return { cpuSeconds: ticks / TICKS_PER_SECOND, residentMb: Number(residentKb) / 1024 };
}
