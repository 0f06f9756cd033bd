import { checkName, formatPlace, ImportError, type Place } from './import-error.ts';
import type { InputFile, InputFiles } from './input-files.ts';
import { TextScanner } from './text-scanner.ts';
import type { Warnings } from './warnings.ts';

/** A `key=value` as written. No value (`key=`) takes an inherited one away. */
export interface IpsecSetting {
  readonly key: string;
  readonly value: string | undefined;
  readonly place: Place;
}

/** A section as written, before `%default` and `also=`. */
export interface IpsecSection {
  readonly name: string;
  readonly place: Place;
  readonly settings: ReadonlyMap<string, IpsecSetting>;
  /** What it names with `also=`, in the order of the lines. */
  readonly also: readonly IpsecSetting[];
}

/** An ipsec.conf with all that it includes; sections by name, in the order of their first lines. */
export interface IpsecSections {
  readonly setup: IpsecSection;
  readonly conns: ReadonlyMap<string, IpsecSection>;
  readonly cas: ReadonlyMap<string, IpsecSection>;
}

const SECTIONS_MAX = 2048;
/** There are some 120 keywords. */
const SETTINGS_MAX = 256;
const ALSO_MAX = 32;

type OpenSection = IpsecSection & { readonly settings: Map<string, IpsecSetting>; readonly also: IpsecSetting[] };

/** Reads ipsec.conf's grammar (strongSwan: `starter/parser/lexer.l`, `parser.y`). Throws ImportError. */
export function readIpsecSections(file: InputFile, files: InputFiles, warnings: Warnings): IpsecSections {
  const reader = new IpsecReader(files, warnings, file);
  reader.read(file);
  return reader.sections;
}

class IpsecReader {
  readonly sections: {
    readonly setup: OpenSection;
    readonly conns: Map<string, OpenSection>;
    readonly cas: Map<string, OpenSection>;
  };
  readonly #files: InputFiles;
  readonly #warnings: Warnings;
  /** An included file goes on with the section that includes it, and leaves the last one of its own open. */
  #current: OpenSection | undefined;

  constructor(files: InputFiles, warnings: Warnings, file: InputFile) {
    this.#files = files;
    this.#warnings = warnings;
    this.sections = {
      setup: newSection('setup', { file: file.path, line: 1 }),
      conns: new Map(),
      cas: new Map(),
    };
  }

  read(file: InputFile): void {
    const scanner = new TextScanner(file);
    while (!scanner.done) this.#readLine(scanner);
  }

  #readLine(scanner: TextScanner): void {
    if (scanner.take(/[\t ]*version[^\n]*/y) === undefined) {
      const indented = scanner.take(/[\t ]+/y) !== undefined;
      if (scanner.take(/include[\t ]+(?![=\t ])/y) !== undefined) this.#include(scanner);
      else if (!isAtLineEnd(scanner)) {
        if (indented) this.#readSetting(scanner);
        else this.#openSection(scanner);
      }
    }
    scanner.take(/[\t \r]*(?:#[^\n]*)?/y);
    if (scanner.take(/\n/y) === undefined && !scanner.done) {
      scanner.fail('this belongs on a line of its own, or into quotes');
    }
  }

  #include(scanner: TextScanner): void {
    const { place } = scanner;
    const pattern = scanner.takeIncludePattern();
    if (pattern === '') scanner.fail('include without a file name');
    for (const file of this.#files.included(pattern, scanner.file, place)) this.read(file);
  }

  #openSection(scanner: TextScanner): void {
    const { place } = scanner;
    const kind = scanner.take(/(?:config[\t ]+setup|conn|ca)(?=[\s"#]|$)/y);
    if (kind === undefined) {
      scanner.fail('expected "config setup", "conn NAME" or "ca NAME"; settings must be indented');
    }
    const name = takeWord(scanner);
    if (kind === 'conn' || kind === 'ca') {
      this.#current = this.#named(kind === 'conn' ? this.sections.conns : this.sections.cas, kind, name ?? '', place);
    } else {
      this.#current = this.sections.setup;
    }
  }

  #named(sections: Map<string, OpenSection>, kind: string, name: string, place: Place): OpenSection {
    checkName(name, place);
    const known = sections.get(name);
    if (known !== undefined) {
      this.#warnings.add(
        place,
        `${kind} ${name} goes on from ${formatPlace(known.place)}: strongSwan makes one of both`,
      );
      return known;
    }
    if (sections.size >= SECTIONS_MAX) throw new ImportError('too-much', place, `more than ${SECTIONS_MAX} sections`);
    const section = newSection(name, place);
    sections.set(name, section);
    return section;
  }

  #readSetting(scanner: TextScanner): void {
    const { place } = scanner;
    const key = takeWord(scanner) ?? '';
    if (key === '') scanner.fail('a setting without a name');
    if (scanner.take(/[\t ]*=/y) === undefined) scanner.fail(`${key} without a value (KEY=VALUE)`);
    const words: string[] = [];
    for (let word = takeWord(scanner); word !== undefined; word = takeWord(scanner)) words.push(word);
    if (scanner.next === '=') scanner.fail(`put the value of ${key} into quotes: it holds a "="`);
    this.#add({ key, value: words.length === 0 ? undefined : words.join(' '), place });
  }

  #add(setting: IpsecSetting): void {
    const { key, value, place } = setting;
    const section = this.#current;
    if (section === undefined) {
      this.#warnings.add(place, `${key} stands in no section; strongSwan ignores it`);
    } else if (key === 'also') {
      if (value === undefined || value === '' || value === '%default') return;
      if (section.also.length >= ALSO_MAX) throw new ImportError('too-much', place, `more than ${ALSO_MAX} also=`);
      section.also.push(setting);
    } else {
      this.#warnOfRepetition(section, setting);
      if (section.settings.size >= SETTINGS_MAX && !section.settings.has(key)) {
        throw new ImportError('too-much', place, `more than ${SETTINGS_MAX} settings in one section`);
      }
      section.settings.set(key, setting);
    }
  }

  #warnOfRepetition(section: IpsecSection, { key, value, place }: IpsecSetting): void {
    const earlier = section.settings.get(key);
    if (earlier === undefined) return;
    const isList = /^(?:left|right)(?:subnet|sourceip|groups|dns)$/.test(key);
    const instead = isList ? `; for both write one line: ${key}=${earlier.value ?? ''},${value ?? ''}` : '';
    this.#warnings.add(
      place,
      `${key} was set at ${formatPlace(earlier.place)}; strongSwan uses only this last one${instead}`,
    );
  }
}

function newSection(name: string, place: Place): OpenSection {
  return { name, place, settings: new Map(), also: [] };
}

function isAtLineEnd(scanner: TextScanner): boolean {
  return ['', '\n', '\r', '#'].includes(scanner.next);
}

/** A word or a quoted text on the same line; `@#` begins an identity in hex, any other `#` a comment. */
function takeWord(scanner: TextScanner): string | undefined {
  scanner.take(/[\t ]+/y);
  if (scanner.next === '"') return scanner.takeQuoted();
  return scanner.take(/(?:@#)?[^"#=\s]+/y);
}
