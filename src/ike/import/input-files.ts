import { dirname, isAbsolute, join } from 'node:path';
import type { Disk } from './disk.ts';
import { expandGlob, hasWildcard } from './glob.ts';
import { ImportError, type Place } from './import-error.ts';
import type { Warnings } from './warnings.ts';

/** Of one file, and of all that one configuration is made of. */
export const FILE_BYTES_MAX = 1024 * 1024;
const TOTAL_BYTES_MAX = 8 * 1024 * 1024;
const FILES_MAX = 256;
/** strongSwan's own limit for secrets is 10; its configuration files have none. */
export const INCLUDE_DEPTH_MAX = 10;
const LINE_CHARACTERS_MAX = 16_384;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A configuration file's text, with `\n` as the only line end. */
export interface InputFile {
  readonly path: string;
  readonly text: string;
  /** How many includes lead to it; 0 for the file that the user named. */
  readonly depth: number;
}

/** Opens the files of one configuration, and stops when they become too many, too large or too deep. */
export class InputFiles {
  readonly #disk: Disk;
  readonly #warnings: Warnings;
  #files = 0;
  #bytes = 0;

  constructor(disk: Disk, warnings: Warnings) {
    this.#disk = disk;
    this.#warnings = warnings;
  }

  /** Throws ImportError. */
  open(path: string): InputFile {
    return { path, text: this.#readText(path), depth: 0 };
  }

  /**
   * The files that an `include` names, relative to the file that holds it. None is a warning unless it was a
   * wildcard.
   */
  *included(pattern: string, from: InputFile, place: Place): Generator<InputFile, void, undefined> {
    const absolute = isAbsolute(pattern) ? pattern : join(dirname(from.path), pattern);
    if (from.depth >= INCLUDE_DEPTH_MAX) {
      throw new ImportError('too-much', place, `includes nest more than ${INCLUDE_DEPTH_MAX} deep`);
    }
    const paths = expandGlob(this.#disk, absolute);
    if (paths.length === 0 && !hasWildcard(pattern)) {
      this.#warnings.add(place, `include: there is no ${absolute}; strongSwan goes on without it, and so does this`);
    }
    for (const path of paths) yield { path, text: this.#readText(path), depth: from.depth + 1 };
  }

  #readText(path: string): string {
    this.#files += 1;
    if (this.#files > FILES_MAX) throw new ImportError('too-much', path, `more than ${FILES_MAX} files are included`);
    const bytes = this.#disk.read(path, FILE_BYTES_MAX);
    this.#bytes += bytes.length;
    if (this.#bytes > TOTAL_BYTES_MAX) {
      throw new ImportError('too-much', path, `the included files have more than ${TOTAL_BYTES_MAX} bytes together`);
    }
    return checkedText(path, bytes);
  }
}

function checkedText(path: string, bytes: Uint8Array): string {
  let text: string;
  try {
    text = utf8.decode(bytes).replaceAll('\r\n', '\n');
  } catch (cause) {
    throw new ImportError('not-text', path, 'the file is not UTF-8 (iconv -f latin1 -t utf-8 converts it)', { cause });
  }
  let line = 0;
  for (const content of text.split('\n')) {
    line += 1;
    if (content.length > LINE_CHARACTERS_MAX) {
      throw new ImportError('too-much', { file: path, line }, `a line of more than ${LINE_CHARACTERS_MAX} characters`);
    }
    if (/[^\P{Cc}\t\r\f]/u.test(content)) {
      throw new ImportError('not-text', { file: path, line }, 'a control character');
    }
  }
  return text;
}
