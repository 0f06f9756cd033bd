import type { Place } from './import-error.ts';

/** Something that was not carried over, or not as written; the message says what to do instead. */
export interface ImportWarning extends Place {
  readonly message: string;
}

/** What many lines of a hostile file could ask for at most. */
const WARNINGS_MAX = 1000;

/** Collects warnings in the order in which they come, each once: a line of `%default` concerns many connections. */
export class Warnings {
  readonly #all = new Map<string, ImportWarning>();
  #suppressed = 0;

  add(place: Place, message: string): void {
    const key = `${place.file}:${place.line}: ${message}`;
    if (this.#all.has(key)) return;
    if (this.#all.size < WARNINGS_MAX) this.#all.set(key, { file: place.file, line: place.line, message });
    else this.#suppressed += 1;
  }

  /** By file, in the order of the lines. */
  list(): readonly ImportWarning[] {
    const all = [...this.#all.values()];
    const files = [...new Set(all.map(({ file }) => file))];
    all.sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line);
    const last = all.at(-1);
    if (this.#suppressed === 0 || last === undefined) return all;
    return [...all, { ...last, message: `and ${this.#suppressed} more warnings` }];
  }
}
