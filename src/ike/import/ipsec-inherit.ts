import { ImportError } from './import-error.ts';
import type { IpsecSection, IpsecSetting } from './ipsec-syntax.ts';

/** Sections that one may draw on, `%default` and what `also=` leads to by others included. */
const ANCESTORS_MAX = 256;

/**
 * Settles `%default` and `also=` as strongSwan does (`starter/parser/conf_parser.c`): a section's own settings come
 * first, then those of what its last `also=` names, and `%default` at the end. Like there, a name that is not there or
 * leads back spoils the whole file: throws ImportError `bad-reference`.
 */
export class Inheritance {
  readonly #sections: ReadonlyMap<string, IpsecSection>;
  readonly #ancestors = new Map<IpsecSection, readonly IpsecSection[]>();

  constructor(sections: ReadonlyMap<string, IpsecSection>) {
    this.#sections = sections;
  }

  /** All settings that hold in a section, in the order in which strongSwan reads them. */
  settingsOf(section: IpsecSection): ReadonlyMap<string, IpsecSetting> {
    const settings = new Map<string, IpsecSetting>();
    for (const { settings: some } of [section, ...this.#ancestorsOf(section, [])]) {
      for (const key of [...some.keys()].sort()) {
        const setting = some.get(key);
        if (setting !== undefined && !settings.has(key)) settings.set(key, setting);
      }
    }
    for (const [key, { value }] of settings) if (value === undefined) settings.delete(key);
    return settings;
  }

  #ancestorsOf(section: IpsecSection, path: readonly IpsecSection[]): readonly IpsecSection[] {
    const known = this.#ancestors.get(section);
    if (known !== undefined) return known;
    const found = section.name === '%default' ? [] : this.#collect(section, [...path, section]);
    this.#ancestors.set(section, found);
    return found;
  }

  #collect(section: IpsecSection, path: readonly IpsecSection[]): readonly IpsecSection[] {
    // Of a section that several ways lead to, the last place counts: those that it draws on come behind it.
    const ancestors = new Set<IpsecSection>();
    for (const also of section.also.toReversed()) {
      const parent = this.#parent(also, path);
      for (const ancestor of [parent, ...this.#ancestorsOf(parent, path)]) {
        ancestors.delete(ancestor);
        ancestors.add(ancestor);
      }
      if (ancestors.size > ANCESTORS_MAX) {
        throw new ImportError('too-much', also.place, `also= leads to more than ${ANCESTORS_MAX} sections`);
      }
    }
    const fallback = this.#sections.get('%default');
    if (ancestors.size === 0 && fallback !== undefined) ancestors.add(fallback);
    return [...ancestors];
  }

  #parent({ value = '', place }: IpsecSetting, path: readonly IpsecSection[]): IpsecSection {
    const parent = this.#sections.get(value);
    if (parent === undefined) throw new ImportError('bad-reference', place, `also=${value}: there is no such section`);
    if (path.includes(parent)) throw new ImportError('bad-reference', place, `also=${value} leads back to itself`);
    if (path.length > ANCESTORS_MAX) {
      throw new ImportError('too-much', place, `also= leads through more than ${ANCESTORS_MAX} sections`);
    }
    return parent;
  }
}
