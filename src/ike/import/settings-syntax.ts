import { checkName, formatPlace, ImportError, type Place } from './import-error.ts';
import type { InputFile, InputFiles } from './input-files.ts';
import { TextScanner } from './text-scanner.ts';
import type { Warnings } from './warnings.ts';

/** A `key = value` as written. No value takes an inherited one away. */
export interface Setting {
  readonly key: string;
  readonly value: string | undefined;
  readonly place: Place;
}

/** A section as written: several of one name in one place are one already, references are not followed yet. */
export interface SettingsSection {
  readonly name: string;
  readonly place: Place;
  readonly settings: ReadonlyMap<string, Setting>;
  readonly sections: ReadonlyMap<string, SettingsSection>;
  /** Full names (`templates.base`) of sections whose content counts where this one says nothing. */
  readonly references: ReadonlyMap<string, Place>;
}

interface OpenSection extends SettingsSection {
  readonly settings: Map<string, Setting>;
  readonly sections: Map<string, OpenSection>;
  readonly references: Map<string, Place>;
}

/** charon's deepest option stands in the fifth. */
export const SECTION_DEPTH_MAX = 16;
const SECTIONS_MAX = 20_000;
/** Of one section. */
const SETTINGS_MAX = 256;
const REFERENCES_MAX = 32;

const NAME = /[^#{}:.,="\s]+/y;
const REFERENCE = /[^#{}:.,="\s]+(?:\.[^#{}:.,="\s]+)*/y;

/**
 * Reads the grammar that strongswan.conf and swanctl.conf share (strongSwan: `settings_lexer.l`,
 * `settings_parser.y`), with all includes; returns the nameless section around everything. Throws ImportError.
 */
export function readSettings(file: InputFile, files: InputFiles, warnings: Warnings): SettingsSection {
  const reader = new SettingsReader(files, warnings, file);
  reader.read(file);
  return reader.finish();
}

class SettingsReader {
  readonly #files: InputFiles;
  readonly #warnings: Warnings;
  readonly #root: OpenSection;
  /** The open sections from the outside in. They stay open across the ends of included files. */
  readonly #open: OpenSection[];
  #sections = 0;

  constructor(files: InputFiles, warnings: Warnings, file: InputFile) {
    this.#files = files;
    this.#warnings = warnings;
    this.#root = newSection('', { file: file.path, line: 1 });
    this.#open = [this.#root];
  }

  read(file: InputFile): void {
    const scanner = new TextScanner(file);
    for (skipBlank(scanner); !scanner.done; skipBlank(scanner)) this.#readStatement(scanner);
  }

  finish(): SettingsSection {
    if (this.#open.length === 1) return this.#root;
    throw new ImportError('syntax', this.#current.place, `section ${this.#current.name} never ends: "}" is missing`);
  }

  get #current(): OpenSection {
    return this.#open.at(-1) ?? this.#root;
  }

  #readStatement(scanner: TextScanner): void {
    if (scanner.take(/\}/y) !== undefined) {
      if (this.#open.length === 1) scanner.fail('"}" without a section');
      this.#open.pop();
      return;
    }
    if (scanner.take(/include[\t ]+(?![=\t ])/y) !== undefined) return this.#include(scanner);
    const { place } = scanner;
    const name = scanner.take(NAME) ?? scanner.fail('expected the name of a section or a setting');
    checkName(name, place);
    skipBlank(scanner);
    if (scanner.take(/=/y) !== undefined) return this.#addSetting({ key: name, value: takeValue(scanner), place });
    const references = scanner.take(/:/y) === undefined ? [] : takeReferences(scanner);
    if (scanner.take(/\{/y) === undefined) {
      // What stands there is not shown: it may be the rest of a secret that was cut at a "}" or at the end of a line.
      throw new ImportError('syntax', place, 'expected "=" or "{" after the name');
    }
    return this.#openSection(name, references, place);
  }

  #include(scanner: TextScanner): void {
    const { place } = scanner;
    const pattern = scanner.takeIncludePattern('}');
    if (pattern === '') scanner.fail('include without a file name');
    for (const file of this.#files.included(pattern, scanner.file, place)) this.read(file);
  }

  #openSection(name: string, references: readonly string[], place: Place): void {
    const parent = this.#current;
    const section = parent.sections.get(name) ?? newSection(name, place);
    this.#sections += 1;
    if (this.#sections > SECTIONS_MAX) throw new ImportError('too-much', place, `more than ${SECTIONS_MAX} sections`);
    if (this.#open.length > SECTION_DEPTH_MAX) {
      throw new ImportError('too-much', place, `sections nest more than ${SECTION_DEPTH_MAX} deep`);
    }
    for (const reference of references) section.references.set(reference, place);
    if (section.references.size > REFERENCES_MAX) {
      throw new ImportError('too-much', place, `more than ${REFERENCES_MAX} references in one section`);
    }
    parent.sections.set(name, section);
    this.#open.push(section);
  }

  #addSetting(setting: Setting): void {
    const { settings } = this.#current;
    const earlier = settings.get(setting.key);
    if (earlier !== undefined) {
      const first = formatPlace(earlier.place);
      this.#warnings.add(setting.place, `${setting.key} was set at ${first}; strongSwan uses only this last one`);
    } else if (settings.size >= SETTINGS_MAX) {
      throw new ImportError('too-much', setting.place, `more than ${SETTINGS_MAX} settings in one section`);
    }
    settings.set(setting.key, setting);
  }
}

function newSection(name: string, place: Place): OpenSection {
  return { name, place, settings: new Map(), sections: new Map(), references: new Map() };
}

/** Blanks, line ends and comments. */
function skipBlank(scanner: TextScanner): void {
  while (scanner.take(/\s+|#[^\n]*/y) !== undefined);
}

function takeReferences(scanner: TextScanner): readonly string[] {
  const references: string[] = [];
  do {
    skipBlank(scanner);
    references.push(scanner.take(REFERENCE) ?? scanner.fail('expected the name of a section after ":"'));
    skipBlank(scanner);
  } while (scanner.take(/,/y) !== undefined);
  return references;
}

/** Words and quoted texts up to the end of the line, a comment or a `}`, with single blanks between them. */
function takeValue(scanner: TextScanner): string | undefined {
  const words: string[] = [];
  for (;;) {
    scanner.take(/[\t\r\f ]+/y);
    const word = scanner.next === '"' ? scanner.takeQuoted() : scanner.take(/[^#}"\s]+/y);
    if (word === undefined) break;
    words.push(word);
  }
  return words.length === 0 ? undefined : words.join(' ');
}
