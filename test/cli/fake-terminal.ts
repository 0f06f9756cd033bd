import { styleFor } from '../../src/cli/style.ts';
import type { Terminal } from '../../src/cli/terminal.ts';

/** Keeps what was written, without colour. */
export class FakeTerminal implements Terminal {
  readonly style = styleFor({}, {});
  stdout = '';
  stderr = '';

  out(text: string): void {
    this.stdout += text;
  }

  err(text: string): void {
    this.stderr += text;
  }
}
