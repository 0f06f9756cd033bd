import { ImportError, type Place } from './import-error.ts';
import { SECTION_DEPTH_MAX, type Setting, type SettingsSection } from './settings-syntax.ts';
import type { Warnings } from './warnings.ts';

/** A section with its references followed. Keys keep their spelling, settings without a value are gone. */
export interface FlatSection {
  readonly name: string;
  readonly place: Place;
  readonly settings: ReadonlyMap<string, Setting>;
  readonly sections: readonly FlatSection[];
}

/** Settings and sections that may be looked at in all: references can multiply a few lines into millions. */
const WORK_MAX = 1_000_000;
/** Sections that one may draw on through references. */
const LAYERS_MAX = 256;

/**
 * Follows section references (`name : other { }`) as strongSwan does (`settings.c`): what a section says itself comes
 * first, then what the sections say that it refers to, in their order; sub-sections of the same name join likewise.
 */
export class SettingsTree {
  readonly #root: SettingsSection;
  readonly #warnings: Warnings;
  #work = 0;

  constructor(root: SettingsSection, warnings: Warnings) {
    this.#root = root;
    this.#warnings = warnings;
  }

  /** The sections within a top-level section, such as `connections`; throws ImportError. */
  sectionsOf(name: string): readonly FlatSection[] {
    const layers = this.#layersWithin([this.#root], name);
    return layers.length === 0 ? [] : this.#flatten(layers, 1).sections;
  }

  #flatten(layers: readonly SettingsSection[], depth: number): FlatSection {
    const [first] = layers;
    const { name = '', place = this.#root.place } = first ?? {};
    if (depth > SECTION_DEPTH_MAX) {
      throw new ImportError('bad-reference', place, `section ${name} refers to one that it is part of`);
    }
    const settings = new Map<string, Setting>();
    for (const setting of layers.flatMap((layer) => [...layer.settings.values()])) {
      this.#count(place);
      if (!settings.has(setting.key)) settings.set(setting.key, setting);
    }
    for (const [key, { value }] of settings) if (value === undefined) settings.delete(key);
    const names = new Set(layers.flatMap((layer) => [...layer.sections.keys()]));
    const sections = [...names].map((inner) => this.#flatten(this.#layersWithin(layers, inner), depth + 1));
    return { name, place, settings, sections };
  }

  /** The section of that name in each layer, and what each refers to, the most important first. */
  #layersWithin(layers: readonly SettingsSection[], name: string): readonly SettingsSection[] {
    const found = new Set<SettingsSection>();
    for (const layer of layers) {
      this.#count(layer.place);
      const section = layer.sections.get(name);
      if (section !== undefined) this.#addLayers(section, found);
    }
    return [...found];
  }

  #addLayers(section: SettingsSection, found: Set<SettingsSection>): void {
    if (found.has(section)) return;
    found.add(section);
    if (found.size > LAYERS_MAX) {
      throw new ImportError('too-much', section.place, `references lead to more than ${LAYERS_MAX} sections`);
    }
    for (const [reference, place] of section.references) {
      this.#count(place);
      const target = this.#find(reference);
      if (target === undefined) this.#warnings.add(place, `there is no section ${reference} to refer to`);
      else this.#addLayers(target, found);
    }
  }

  #find(path: string): SettingsSection | undefined {
    let section: SettingsSection | undefined = this.#root;
    for (const name of path.split('.')) section = section?.sections.get(name);
    return section;
  }

  #count(place: Place): void {
    this.#work += 1;
    if (this.#work > WORK_MAX)
      throw new ImportError('too-much', place, 'the references multiply into too many settings');
  }
}
