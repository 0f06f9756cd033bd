import { parseDurationSeconds } from '../../duration.ts';
import type { Place } from './import-error.ts';
import type { IpsecSetting } from './ipsec-syntax.ts';
import { splitList } from './options.ts';
import type { Warnings } from './warnings.ts';

/** Keywords that strongSwan itself gave up long ago (`starter/keywords.txt`), or that do nothing any more. */
const REMOVED: ReadonlySet<string> = new Set(
  (
    'interfaces dumpdir charonstart plutostart klipsdebug plutodebug prepluto postpluto plutostderrlog fragicmp ' +
    'packetdefault hidetos overridemtu crlcheckinterval nocrsend nat_traversal keep_alive force_keepalive ' +
    'virtual_private pkcs11module pkcs11initargs pkcs11keepstate pkcs11proxy ldaphost ldapbase pfs pfsgroup eap ' +
    'leftnexthop rightnexthop'
  ).split(' '),
);

/**
 * Reads the settings of one section by keyword, with strongSwan's spelling of values (`starter/args.c`): a value that
 * it would refuse makes a warning and spoils the section, a keyword that nobody asked for makes a warning at the end.
 */
export class IpsecKeywords {
  readonly #settings: ReadonlyMap<string, IpsecSetting>;
  readonly #warnings: Warnings;
  readonly #read = new Set<string>();
  #refused = false;

  constructor(settings: ReadonlyMap<string, IpsecSetting>, warnings: Warnings) {
    this.#settings = settings;
    this.#warnings = warnings;
  }

  /** True when strongSwan would leave the section out because of a value. */
  get refused(): boolean {
    return this.#refused;
  }

  /** The value; of two names for the same thing the one that strongSwan reads last. */
  text(...names: readonly string[]): string | undefined {
    return this.#find(names)?.value;
  }

  list(...names: readonly string[]): readonly string[] {
    return splitList(this.text(...names) ?? '');
  }

  flag(name: string, fallback: boolean): boolean {
    return this.oneOf(name, ['no', 'yes'], fallback ? 'yes' : 'no') === 'yes';
  }

  oneOf<const T extends string, F extends T | undefined>(name: string, words: readonly T[], fallback: F): T | F {
    return this.#parsed([name], (value) => words.find((word) => word === value), words.join(', ')) ?? fallback;
  }

  /** Text that must fit a pattern; `wanted` says what that is. */
  matching(name: string, pattern: RegExp, wanted: string): string | undefined {
    return this.#parsed([name], (value) => (pattern.test(value) ? value : undefined), wanted);
  }

  seconds(names: readonly string[], fallback: number): number {
    return this.#parsed(names, parseDurationSeconds, 'a time such as 60m') ?? fallback;
  }

  count<F extends number | undefined>(name: string, fallback: F): number | F {
    const parse = (value: string): number | undefined => (/^\d{1,15}$/.test(value) ? Number(value) : undefined);
    return this.#parsed([name], parse, 'a whole number') ?? fallback;
  }

  /** Warns at the line of the setting, if it is set. */
  warn(name: string, message: string): void {
    const setting = this.#settings.get(name);
    this.#read.add(name);
    if (setting !== undefined) this.#warnings.add(setting.place, message);
  }

  /** Warns at the line of the setting, and spoils the section. */
  refuse(name: string, message: string): void {
    this.warn(name, message);
    this.#refused = true;
  }

  /** Warns of every setting that was not read. */
  finish(): void {
    for (const [name, { place }] of this.#settings) {
      if (this.#read.has(name)) continue;
      const why = REMOVED.has(name) ? 'strongSwan has removed it; take it out' : 'strongSwan ignores it here as well';
      this.#warnings.add(place, `${name}: ${why}`);
    }
  }

  #parsed<T>(names: readonly string[], parse: (value: string) => T | undefined, wanted: string): T | undefined {
    const setting = this.#find(names);
    if (setting?.value === undefined) return undefined;
    const parsed = parse(setting.value);
    if (parsed === undefined) {
      this.#refused = true;
      this.#warnings.add(setting.place, `${setting.key} must be ${wanted}, not "${setting.value}"`);
    }
    return parsed;
  }

  #find(names: readonly string[]): IpsecSetting | undefined {
    for (const name of names) this.#read.add(name);
    if (names.length === 1) return this.#settings.get(names[0] ?? '');
    const set = [...this.#settings.values()].filter(({ key }) => names.includes(key));
    const last = set.at(-1);
    if (set.length > 1 && last !== undefined) {
      const place: Place = last.place;
      this.#warnings.add(place, `${set.map(({ key }) => key).join(' and ')} are one setting; strongSwan uses this one`);
    }
    return last;
  }
}
