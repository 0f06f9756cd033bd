import { CommanderError, type Command } from 'commander';
import { messageOf } from '../errors.ts';
import { CliError, exitCodeOf } from './cli-error.ts';
import { printable } from './style.ts';
import type { Terminal } from './terminal.ts';

/** Runs a commander program on `args` (without node and script) and resolves to the exit code; never rejects. */
export async function runProgram(program: Command, args: readonly string[], terminal: Terminal): Promise<number> {
  prepare(program, terminal);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (!(error instanceof CommanderError)) terminal.err(complaint(program.name(), error));
    return exitCodeOf(error);
  }
}

/** Commander must not exit by itself, in no subcommand, and must write where the tests can see it. */
function prepare(command: Command, terminal: Terminal): void {
  command
    .exitOverride()
    .showHelpAfterError('(--help shows what is possible)')
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.err(text) });
  for (const child of command.commands) prepare(child, terminal);
}

function complaint(program: string, thrown: unknown): string {
  const details = thrown instanceof CliError ? thrown.details : [];
  return [`${program}: ${messageOf(thrown)}`, ...details.map((line) => `  ${line}`)]
    .map((line) => `${printable(line)}\n`)
    .join('');
}
