/** What people see of the demo: numbered steps with the time that each took, and text between them. */
export class DemoScreen {
  readonly #output: NodeJS.WritableStream;
  #steps = 0;

  constructor(output: NodeJS.WritableStream) {
    this.#output = output;
  }

  line(text = ''): void {
    this.#output.write(`${text}\n`);
  }

  /** Runs one step; its title is on the screen before it begins. */
  async step<T>(title: string, action: () => Promise<T>): Promise<T> {
    this.#steps += 1;
    this.#output.write(`${String(this.#steps).padStart(2)}. ${title.padEnd(64)} `);
    const startedMs = performance.now();
    const seconds = (): string => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
    try {
      const result = await action();
      this.line(seconds().padStart(7));
      return result;
    } catch (error) {
      this.line(`failed after ${seconds()}`);
      throw error;
    }
  }

  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
    for (const row of [head, ...rows]) {
      this.line(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd());
    }
  }
}
