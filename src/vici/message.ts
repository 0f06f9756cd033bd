import { ByteReader } from './byte-reader.ts';
import { VALUE_BYTES_MAX, written, type ByteWriter } from './byte-writer.ts';
import { ViciError } from './vici-error.ts';

/**
 * A value: a string where its bytes are valid UTF-8 and bytes otherwise, so decoding and encoding again gives the same
 * bytes, DER included. Who needs the bytes of either kind takes {@link itemBytes}.
 */
export type ViciItem = string | Uint8Array;
/** What stands under a name: a value, a list of values, or a section. */
export type ViciValue = ViciItem | readonly ViciItem[] | ViciSection;
/** A tree of sections, lists and values without any meaning attached, as it came from the wire. */
export interface ViciSection extends ReadonlyMap<string, ViciValue> {}

/** A value to send: numbers are written in decimal, true and false as `yes` and `no`. */
export type ViciInputItem = string | number | boolean | Uint8Array;
/** What may stand under a name in a request. */
export type ViciInputValue = ViciInputItem | readonly ViciInputItem[] | ViciInput;
/**
 * What a message may be made of: {@link ViciSection}s, and plain objects for convenience. What is undefined is left
 * out. An object's keys that look like numbers come first in JavaScript: where that order matters, take a Map.
 */
export type ViciInput =
  | ReadonlyMap<string, ViciInputValue | undefined>
  | { readonly [key: string]: ViciInputValue | undefined };

export { VALUE_BYTES_MAX };

/** charon's deepest message has six levels. The limit keeps readers that recurse safe from a hostile peer. */
export const SECTION_DEPTH_MAX = 32;

const ELEMENT = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;

/** Whether it is a section, and no value, list or nothing. */
export function isSection(value: ViciValue | undefined): value is ViciSection {
  return value instanceof Map;
}

/** The bytes that stand or stood on the wire. */
export function itemBytes(item: ViciItem): Uint8Array {
  return typeof item === 'string' ? Buffer.from(item, 'utf8') : item;
}

/**
 * The bytes of a root section. Throws `invalid-request`, with the path to the culprit, for what is no
 * {@link ViciInput} and where the format has no room: names that are long or unprintable, values above 65,535 bytes,
 * lone surrogates, lists in lists, sections nested (or looped) too deep.
 */
export function encodeMessage(root: ViciInput): Uint8Array {
  return written((writer) => writeMessage(writer, root));
}

/** {@link encodeMessage} into what is already being written. */
export function writeMessage(writer: ByteWriter, root: ViciInput): void {
  const path: string[] = [];
  try {
    // No section end for the root: with one, charon reports failure although it has done the work.
    writeEntries(writer, root, path, 0);
  } catch (error) {
    if (!(error instanceof ViciError) || error.code !== 'invalid-request') throw error;
    throw new ViciError('invalid-request', `${path.join('.') || 'the request'}: ${error.detail}`);
  }
}

/** `path` holds the names on the way to what is being written, this section's entry at index `depth`. */
function writeEntries(writer: ByteWriter, section: object, path: string[], depth: number): void {
  if (depth >= SECTION_DEPTH_MAX) refuse(`sections nest deeper than ${SECTION_DEPTH_MAX}`);
  if (section instanceof Map) {
    section.forEach((value: unknown, name: unknown) => writeEntry(writer, name, value, path, depth));
  } else {
    checkPlain(section);
    // Two arrays take half the time of one of pairs, or of looking up each name.
    const names = Object.keys(section);
    const values: readonly unknown[] = Object.values(section);
    for (let index = 0; index < names.length; index += 1) writeEntry(writer, names[index], values[index], path, depth);
  }
  path.length = depth;
}

function writeEntry(writer: ByteWriter, name: unknown, value: unknown, path: string[], depth: number): void {
  if (value === undefined) return;
  path[depth] = typeof name === 'string' ? name : describe(name);
  if (typeof name !== 'string') return refuse('a key must be text');
  if (typeof value === 'string') {
    writer.tagged(ELEMENT.keyValue, name);
    writer.value(value);
  } else if (Array.isArray(value)) {
    writer.tagged(ELEMENT.listStart, name);
    for (const item of value as readonly unknown[]) {
      writer.u8(ELEMENT.listItem);
      writer.value(itemOf(item));
    }
    writer.u8(ELEMENT.listEnd);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    writer.u8(ELEMENT.sectionStart);
    writer.name(name);
    writeEntries(writer, value, path, depth + 1);
    writer.u8(ELEMENT.sectionEnd);
  } else {
    writer.tagged(ELEMENT.keyValue, name);
    writer.value(itemOf(value));
  }
}

/** What stands on the wire for one item. */
function itemOf(value: unknown): ViciItem {
  if (typeof value === 'string' || value instanceof Uint8Array) return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number') return refuse(`${describe(value)} cannot be sent`);
  return Number.isSafeInteger(value) ? String(value) : refuse(`${value} is no safe integer`);
}

/** Instances of classes are fine, but a Date, a Set or a Promise would silently become an empty section. */
function checkPlain(section: object): void {
  if (Object.prototype.toString.call(section) !== '[object Object]') refuse(`${describe(section)} cannot be sent`);
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? Object.prototype.toString.call(value) : typeof value;
}

function refuse(detail: string): never {
  throw new ViciError('invalid-request', detail);
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
      section.set(reader.key('key'), reader.value('value'));
    } else if (element === ELEMENT.listStart) {
      section.set(reader.key('list'), decodeList(reader));
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
    items.push(reader.value('item'));
  }
}

function misplaced(reader: ByteReader): never {
  throw new ViciError('malformed-message', `element before byte ${reader.offset} does not belong there`);
}
