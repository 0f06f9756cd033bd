import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export type LabErrorCode =
  /** A program said no, or could not be started. */
  | 'command-failed'
  /** A program was killed at its deadline. */
  | 'command-timed-out'
  /** What was waited for did not come. */
  | 'not-in-time'
  /** A daemon that should be running is not. */
  | 'process-died'
  /** The caller named a host or an option that does not exist. */
  | 'bad-argument';

/** Everything that the lab throws by itself. */
export class LabError extends Error {
  override readonly name = 'LabError';
  readonly code: LabErrorCode;
  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(`[${code}] ${message}`, options);
    this.code = code;
  }
}

export interface RunOptions {
  /** Written to standard input, which is then closed. Default: empty. */
  readonly input?: string;
  /** The program is killed after this many milliseconds. Default 60 s. */
  readonly timeoutMs?: number;
  /** Exit codes that are an answer and not an error. Default: only 0. */
  readonly accept?: readonly number[];
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end. It gets a session of its own, so that Ctrl-C in the terminal reaches the lab's owner and
 * not the programs with which the owner cleans up. Throws LabError, with the end of what the program wrote.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...args] = argv;
  const signal = AbortSignal.timeout(options.timeoutMs ?? 60_000);
  const child = spawn(file, args, { detached: true, stdio: 'pipe', signal, killSignal: 'SIGKILL' });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => undefined); // a program may end without having read its input
  child.stdin.end(options.input ?? '');
  try {
    const [code, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)]);
    if (code !== null && (options.accept ?? [0]).includes(code)) return { code, stdout, stderr };
    throw new LabError('command-failed', `${argv.join(' ')}: exit ${code}: ${lastLines(stderr || stdout)}`);
  } catch (error) {
    if (error instanceof LabError) throw error;
    const code = signal.aborted ? 'command-timed-out' : 'command-failed';
    throw new LabError(code, argv.join(' '), { cause: error });
  }
}

/** The end of a program's output, short enough for a message. */
export function lastLines(output: string, count = 12): string {
  return output.trimEnd().split('\n').slice(-count).join('\n');
}
