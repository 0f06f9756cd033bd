import { isSection, type ViciItem, type ViciSection } from '../message.ts';

/** The text behind a key; undefined for anything else. */
export function textOf(section: ViciSection | undefined, key: string): string | undefined {
  const value = section?.get(key);
  return typeof value === 'string' ? value : undefined;
}

/** The one value behind a key, text or bytes; undefined for anything else, and for an empty one. */
export function itemAt(section: ViciSection, key: string): ViciItem | undefined {
  const value = section.get(key);
  const isItem = typeof value === 'string' || value instanceof Uint8Array;
  return isItem && value.length > 0 ? value : undefined;
}

/** The texts of a list, or the one text that stands in its place; what is no text is left out. */
export function textsOf(section: ViciSection | undefined, key: string): readonly string[] {
  const value = section?.get(key);
  if (value === undefined || isSection(value)) return [];
  const items = typeof value === 'string' || value instanceof Uint8Array ? [value] : value;
  return items.filter((item) => typeof item === 'string');
}

/** The section behind a key; undefined for anything else. */
export function sectionAt(section: ViciSection | undefined, key: string): ViciSection | undefined {
  const value = section?.get(key);
  return isSection(value) ? value : undefined;
}

/** The sections in a section, by name. */
export function sectionsIn(section: ViciSection | undefined): readonly (readonly [string, ViciSection])[] {
  return [...(section ?? [])].flatMap(([name, value]) => (isSection(value) ? [[name, value] as const] : []));
}
