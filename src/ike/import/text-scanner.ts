import { ImportError, type Place } from './import-error.ts';
import type { InputFile } from './input-files.ts';

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['\n', ''],
]);

/** No value of a configuration is longer; a certificate in base64 is not. */
const VALUE_CHARACTERS_MAX = 16_384;

/** Walks forward through a text by sticky patterns, and knows the line. Never goes back, so it takes linear time. */
export class TextScanner {
  readonly file: InputFile;
  #offset = 0;
  #line = 1;

  constructor(file: InputFile) {
    this.file = file;
  }

  get done(): boolean {
    return this.#offset >= this.file.text.length;
  }

  get place(): Place {
    return { file: this.file.path, line: this.#line };
  }

  /** The next character, or the empty text at the end. */
  get next(): string {
    return this.file.text[this.#offset] ?? '';
  }

  /** Takes what the pattern matches right here; undefined when it does not. The pattern needs the flag `y`. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset;
    const match = pattern.exec(this.file.text);
    if (match === null) return undefined;
    this.#offset += match[0].length;
    for (const character of match[0]) if (character === '\n') this.#line += 1;
    return match[0];
  }

  /**
   * A quoted text, as both of strongSwan's formats have it: backslash escapes, and a backslash at the end of a line
   * joins it with the next. The scanner stands on the opening quote.
   */
  takeQuoted(): string {
    const { place } = this;
    this.take(/"/y);
    let value = '';
    for (;;) {
      value += this.take(/[^"\\]+/y) ?? '';
      if (value.length > VALUE_CHARACTERS_MAX) throw new ImportError('too-much', place, 'a quoted text is too long');
      if (this.take(/"/y) !== undefined) return value;
      const escaped = this.take(/\\[^]/y)?.slice(1);
      if (escaped === undefined) throw new ImportError('syntax', place, 'the quote that begins here never ends');
      value += ESCAPES.get(escaped) ?? escaped;
    }
  }

  /** The pattern of an include: quoted, or up to a blank, `#` or a character of `ends`; a backslash escapes. */
  takeIncludePattern(ends = ''): string {
    if (this.next === '"') return this.takeQuoted();
    const plain = ends === '' ? /(?:\\["#} ]|[^#\s"])+/y : /(?:\\["#} ]|[^#}\s"])+/y;
    return (this.take(plain) ?? '').replaceAll(/\\(["#} ])/g, '$1');
  }

  fail(detail: string): never {
    throw new ImportError('syntax', this.place, detail);
  }
}
