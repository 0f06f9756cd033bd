import { readFile } from 'node:fs/promises';

/** A process for good: a pid alone may be another process's later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start of the process in clock ticks since the machine's own start. */
  readonly startTicks: number;
}

/** The process that has this pid now, or undefined when none has, or only a dead one that nobody has waited for. */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may hold anything; state is the third, start the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : { pid, startTicks: Number(fields[19]) };
}

export async function isAlive({ pid, startTicks }: ProcessIdentity): Promise<boolean> {
  return (await identityOf(pid))?.startTicks === startTicks;
}
