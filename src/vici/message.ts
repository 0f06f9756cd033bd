import { ByteReader } from './byte-reader.ts';
import { encodeName } from './name.ts';
import { ViciError } from './vici-error.ts';

/**
 * The VICI message format: a tree of sections, lists and values without any meaning attached. Pure.
 * A value is a string where its bytes are valid UTF-8 and bytes otherwise, so decoding and encoding again gives the
 * same bytes, DER included. Who needs the bytes of either kind takes {@link itemBytes}.
 */
export type ViciItem = string | Uint8Array;
export type ViciValue = ViciItem | readonly ViciItem[] | ViciSection;
export interface ViciSection extends ReadonlyMap<string, ViciValue> {}

/** A value's length is two bytes on the wire. */
export const VALUE_BYTES_MAX = 65_535;

/** charon's deepest message has six levels. The limit keeps readers that recurse safe from a hostile peer. */
export const SECTION_DEPTH_MAX = 32;

const ELEMENT = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function isSection(value: ViciValue | undefined): value is ViciSection {
  return value instanceof Map;
}

/** The bytes that stand or stood on the wire. */
export function itemBytes(item: ViciItem): Uint8Array {
  return typeof item === 'string' ? Buffer.from(item, 'utf8') : item;
}

/**
 * The bytes of a root section. Throws `invalid-request` where the format has no room: names that are long or
 * unprintable, values above 65,535 bytes, lone surrogates, sections nested (or looped) too deep.
 */
export function encodeMessage(root: ViciSection): Uint8Array {
  const parts: Uint8Array[] = [];
  // No section end for the root: with one, charon reports failure although it has done the work.
  encodeEntries(root, 1, parts);
  return Buffer.concat(parts);
}

function encodeEntries(section: ViciSection, depth: number, parts: Uint8Array[]): void {
  if (depth > SECTION_DEPTH_MAX) {
    throw new ViciError('invalid-request', `sections nest deeper than ${SECTION_DEPTH_MAX}`);
  }
  for (const [name, value] of section) {
    if (isSection(value)) {
      parts.push(...named(ELEMENT.sectionStart, name));
      encodeEntries(value, depth + 1, parts);
      parts.push(Uint8Array.of(ELEMENT.sectionEnd));
    } else if (typeof value === 'string' || value instanceof Uint8Array) {
      parts.push(...named(ELEMENT.keyValue, name), ...sized(value, name));
    } else {
      parts.push(...named(ELEMENT.listStart, name));
      for (const item of value) parts.push(Uint8Array.of(ELEMENT.listItem), ...sized(item, name));
      parts.push(Uint8Array.of(ELEMENT.listEnd));
    }
  }
}

function named(element: number, name: string): readonly Uint8Array[] {
  const bytes = encodeName(name);
  return [Uint8Array.of(element, bytes.length), bytes];
}

function sized(item: ViciItem, name: string): readonly Uint8Array[] {
  if (typeof item === 'string' && /\p{Surrogate}/u.test(item)) {
    throw new ViciError('invalid-request', `value of ${name} has a lone surrogate`);
  }
  const bytes = itemBytes(item);
  if (bytes.length > VALUE_BYTES_MAX) {
    const detail = `value of ${name} has ${bytes.length} bytes, at most ${VALUE_BYTES_MAX} are possible`;
    throw new ViciError('invalid-request', detail);
  }
  return [Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes];
}

/**
 * The root section of a message's bytes; keeps no reference to them. Throws `malformed-message` for anything that the
 * format does not allow. Where a name repeats within a section the last one wins, as in strongSwan's own bindings.
 */
export function decodeMessage(bytes: Uint8Array): ViciSection {
  const reader = new ByteReader(bytes);
  const root = new Map<string, ViciValue>();
  const enclosing: Map<string, ViciValue>[] = [];
  let section = root;
  while (!reader.done) {
    const element = reader.u8('element');
    if (element === ELEMENT.keyValue) {
      section.set(reader.name('key'), decodeItem(reader));
    } else if (element === ELEMENT.listStart) {
      section.set(reader.name('list'), decodeList(reader));
    } else if (element === ELEMENT.sectionStart) {
      const inner = new Map<string, ViciValue>();
      section.set(reader.name('section'), inner);
      enclosing.push(section);
      if (enclosing.length >= SECTION_DEPTH_MAX) {
        throw new ViciError('malformed-message', `sections nest deeper than ${SECTION_DEPTH_MAX}`);
      }
      section = inner;
    } else {
      section = element === ELEMENT.sectionEnd ? (enclosing.pop() ?? misplaced(reader)) : misplaced(reader);
    }
  }
  if (enclosing.length > 0) throw new ViciError('malformed-message', `${enclosing.length} sections have no end`);
  return root;
}

function decodeList(reader: ByteReader): readonly ViciItem[] {
  const items: ViciItem[] = [];
  for (;;) {
    const element = reader.u8('list');
    if (element === ELEMENT.listEnd) return items;
    if (element !== ELEMENT.listItem) return misplaced(reader);
    items.push(decodeItem(reader));
  }
}

function decodeItem(reader: ByteReader): ViciItem {
  const bytes = reader.take(reader.u16('value'), 'value');
  try {
    return utf8.decode(bytes);
  } catch {
    return new Uint8Array(bytes);
  }
}

function misplaced(reader: ByteReader): never {
  throw new ViciError('malformed-message', `element before byte ${reader.offset} does not belong there`);
}
