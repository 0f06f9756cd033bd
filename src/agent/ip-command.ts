import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../errors.ts';

const run = promisify(execFile);

const TIMEOUT_MS = 5000;
/** Bytes of output; a route takes some 150. */
const OUTPUT_MAX = 16 * 1024 * 1024;

/**
 * Runs `ip` of iproute2 and resolves to what it prints; rejects, in one line of words, when it fails or takes longer than 5 s.
 *
 * @param input commands, for `-batch -`
 */
export async function ip(argv: readonly string[], input = ''): Promise<string> {
  const running = run('ip', argv, { timeout: TIMEOUT_MS, maxBuffer: OUTPUT_MAX });
  const { stdin } = running.child;
  // One that fails does not read all of it.
  stdin?.on('error', () => undefined);
  stdin?.end(input);
  try {
    return (await running).stdout;
  } catch (cause) {
    throw new Error(
      messageOf(cause)
        .trim()
        .replaceAll(/\s*\n\s*/g, ': '),
      { cause },
    );
  }
}

/** Runs one command of `ip` after the other, up to the first that fails. */
export async function ipBatch(commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await ip(['-batch', '-'], `${commands.join('\n')}\n`);
}
