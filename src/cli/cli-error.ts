import { CommanderError } from 'commander';

/**
 * `bad-input`: the user's own words are wrong (a flag, a file, a spec). `not-running`, `no-permission`: the socket.
 * `refused`: the service said no. `no-answer`: it said nothing in time, or hung up. `not-understood`: another version.
 * `nothing-works`: a check was made, and found that. `not-in-time`: what was waited for did not happen.
 */
export type CliErrorCode =
  | 'bad-input'
  | 'not-running'
  | 'no-permission'
  | 'refused'
  | 'no-answer'
  | 'not-understood'
  | 'nothing-works'
  | 'not-in-time';

/** What a command-line program tells its user before it exits. `details` are further lines, printed as they are. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly code: CliErrorCode;
  readonly details: readonly string[];

  constructor(code: CliErrorCode, message: string, options: ErrorOptions & { details?: readonly string[] } = {}) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? [];
  }
}

/** 0 after help and version, 2 for bad input (commander's own complaints too), 1 for everything else. */
export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CliError) return thrown.code === 'bad-input' ? 2 : 1;
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  return 1;
}
