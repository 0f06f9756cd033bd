import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { messageOf } from '../../src/errors.ts';
import type { PathMeasurement, PathRow } from './paths/path-row.ts';
import { killTree } from './process-tree.ts';
import type { Say } from './row.ts';

/** Tells a process which group it is to measure. */
const GROUP = 'CYGNET_MEASURED_GROUP';

export interface GroupProcessOptions {
  /** Path of the program, which is started again. */
  readonly program: string;
  readonly args: readonly string[];
  /** Place of the group among all that these arguments ask for. */
  readonly group: number;
  /** Ends it at once; its reason is an Error. */
  readonly signal: AbortSignal;
}

/** What the process tells at its end. */
type Told = { readonly rows: readonly PathRow[] } | { readonly problem: string };

/** The group that this process is to measure; undefined in the one that was started by hand. */
export function groupOfThisProcess(): number | undefined {
  const group = process.env[GROUP];
  return group === undefined ? undefined : Number(group);
}

/**
 * Has a group measured by a process of its own, which ends with all that it has started: when it has told its rows, and when
 * the signal aborts, at any moment. Rejects with the signal's reason then, and with an Error when the measurement fails.
 */
export async function measureInProcess({
  program,
  args,
  group,
  signal,
}: GroupProcessOptions): Promise<readonly PathRow[]> {
  signal.throwIfAborted();
  const child = fork(program, args, {
    env: { ...process.env, [GROUP]: String(group) },
    // In a session of its own: Ctrl-C in the terminal reaches this process only.
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Keeps NaN.
    serialization: 'advanced',
  });
  const ended = once(child, 'exit');
  try {
    const told = await toldBy(child, signal);
    if ('problem' in told) throw new Error(told.problem);
    return told.rows;
  } finally {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killTree(child.pid);
    await ended;
  }
}

/** The other end: measures, tells, and waits for its end. */
export async function measureForParent(measurement: PathMeasurement, say: Say): Promise<void> {
  // Without the one that waits for it, nobody would remove what it leaves; the next lab does that when it is gone.
  process.once('disconnect', () => process.exit(1));
  const told: Told = await measurement.measure(say).then(
    (rows) => ({ rows }),
    (error: unknown) => ({ problem: messageOf(error) }),
  );
  process.send?.(told);
}

function toldBy(child: ChildProcess, signal: AbortSignal): Promise<Told> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as Told));
    child.once('error', reject);
    child.once('exit', (code, name) => reject(new Error(`the measuring process ended with ${name ?? code}`)));
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
