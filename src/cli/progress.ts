import type { Terminal } from './terminal.ts';

const TICK_MS = 500;

/** Says on standard error what is waited for, with dots, so that nobody takes the wait for a hang. */
export async function withProgress<T>(terminal: Terminal, what: string, result: Promise<T>): Promise<T> {
  terminal.err(`${what} `);
  const ticking = setInterval(() => terminal.err('.'), TICK_MS);
  try {
    return await result;
  } finally {
    clearInterval(ticking);
    terminal.err('\n');
  }
}
