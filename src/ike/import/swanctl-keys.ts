import type { Place } from './import-error.ts';
import { parseOptions, type OptionTable, type ValuesOf } from './options.ts';
import type { FlatSection } from './settings-references.ts';
import type { Warnings } from './warnings.ts';

/**
 * Reads the settings of one section of a swanctl.conf. charon knows keys in any case, and refuses a whole connection
 * for one that it does not know or a value that makes no sense; so does this.
 */
export class SwanctlKeys {
  readonly #section: FlatSection;
  readonly #warnings: Warnings;
  readonly #left: Map<string, string>;
  readonly #places: Map<string, Place>;
  #refused = false;

  constructor(section: FlatSection, warnings: Warnings) {
    this.#section = section;
    this.#warnings = warnings;
    const settings = [...section.settings.values()];
    this.#left = new Map(settings.map(({ key, value }) => [key.toLowerCase(), value ?? '']));
    this.#places = new Map(settings.map(({ key, place }) => [key.toLowerCase(), place]));
  }

  get refused(): boolean {
    return this.#refused;
  }

  placeOf(key: string): Place {
    return this.#places.get(key) ?? this.#section.place;
  }

  take(key: string): string | undefined {
    const value = this.#left.get(key);
    this.#left.delete(key);
    return value;
  }

  /** What is still there. */
  takeRest(): readonly (readonly [key: string, value: string])[] {
    const rest = [...this.#left];
    this.#left.clear();
    return rest;
  }

  /** Takes what the table has. */
  options<T extends OptionTable>(table: T): ValuesOf<T> {
    const { values, unknown, refused } = parseOptions(table, this.#left);
    for (const key of refused) this.refuse(key, `${key}: charon refuses "${this.#left.get(key) ?? ''}"`);
    for (const key of this.#left.keys()) if (!unknown.includes(key)) this.#left.delete(key);
    return values;
  }

  warn(key: string, message: string): void {
    this.#warnings.add(this.placeOf(key), message);
  }

  refuse(key: string, message: string): void {
    this.warn(key, message);
    this.#refused = true;
  }

  /** Takes the keys of a certificate on a token, with a warning if there are any. */
  warnOfTokens(): void {
    for (const key of ['handle', 'slot', 'module']) {
      if (this.take(key) !== undefined)
        this.warn(key, `${key}: certificates on tokens are not carried over; name a file`);
    }
  }

  /** Refuses the section for every key that nobody took. */
  refuseRest(): void {
    for (const [key] of this.takeRest()) this.refuse(key, `${key}: charon knows no such option`);
  }
}
