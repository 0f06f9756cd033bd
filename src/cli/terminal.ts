import { styleFor, type Style } from './style.ts';

/** Where a command-line program writes; tests pass their own. */
export interface Terminal {
  /** Results, for people and pipes. */
  out(text: string): void;
  /** Errors and hints. */
  err(text: string): void;
  /** For what goes to `out`. */
  readonly style: Style;
}

/** The process's own terminal. A reader that closes the pipe (`| head`) ends the program quietly. */
export function processTerminal(): Terminal {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    style: styleFor(process.stdout, process.env),
  };
}
