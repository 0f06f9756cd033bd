import { isSection, type ViciItem, type ViciSection, type ViciValue } from '../message.ts';
import { ViciError } from '../vici-error.ts';

/**
 * Reads a value of a reply or an event as what it means; undefined stands for an absent key. `at` names the place for
 * the error: what does not fit throws `malformed-message`. Keys that nobody reads are ignored, as a newer charon has
 * more of them.
 */
export type Reader<T> = (value: ViciValue | undefined, at: string) => T;

/** Text. Identities and names may hold any bytes; what is no UTF-8 shows as U+FFFD rather than hide all the rest. */
export const text: Reader<string> = (value, at) => {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? lossyText(value) : unfit(value, at, 'text');
};

/** Bytes, such as a certificate in DER. */
export const bytes: Reader<Uint8Array> = (value, at) => {
  if (value instanceof Uint8Array) return value;
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : unfit(value, at, 'bytes');
};

/** A decimal integer; above 2^53 it loses its last digits, which matters for no counter that fills up in practice. */
export const integer: Reader<number> = (value, at) => {
  if (typeof value === 'string' && /^-?\d{1,20}$/.test(value)) return Number(value);
  return unfit(value, at, 'a decimal integer');
};

/** `yes` or `no`, and absent for false: charon writes most flags only when they are set. */
export const flag: Reader<boolean> = (value, at) => {
  if (value === 'yes') return true;
  return value === undefined || value === 'no' ? false : unfit(value, at, 'yes or no');
};

/** A list of texts, absent when there are none. */
export const texts: Reader<readonly string[]> = (value, at) => {
  if (value === undefined) return [];
  if (typeof value === 'string' || value instanceof Uint8Array || isSection(value)) return unfit(value, at, 'a list');
  return value.map((item) => text(item, at));
};

/** What may be absent. */
export function optional<T>(reader: Reader<T>): Reader<T | undefined> {
  return (value, at) => (value === undefined ? undefined : reader(value, at));
}

/** The readers of a section's keys. */
type Readers<T> = { readonly [K in keyof T]-?: Reader<T[K]> };

/** A section with known keys. Each key of `T` needs its reader; absent optional keys become undefined. */
export function sectionOf<T extends object>(readers: Readers<T>): Reader<T> {
  const fields = Object.entries(readers) as [string, Reader<unknown>][];
  return (value, at) => filled({ ...readers }, fields, value, at) as T;
}

/** {@link sectionOf} with the name that the section stands under as its field `name`. */
export function namedSectionOf<T extends { readonly name: string }>(readers: Readers<Omit<T, 'name'>>): Reader<T> {
  const fields = Object.entries(readers) as [string, Reader<unknown>][];
  return (value, at) => filled({ name: at, ...readers }, fields, value, at) as T;
}

/**
 * Overwrites the copy of the readers that it is given. An object that begins with all its keys stays one that V8 copies
 * in 0.1 µs; filled key by key it becomes a dictionary, of which a copy takes 7 µs, and SAs are copied a lot.
 */
function filled(
  result: Record<string, unknown>,
  fields: readonly [string, Reader<unknown>][],
  value: ViciValue | undefined,
  at: string,
): Record<string, unknown> {
  if (!isSection(value)) return unfit(value, at, 'a section');
  for (const [key, reader] of fields) result[key] = reader(value.get(key), key);
  return result;
}

/** A section whose keys are names: of pools, algorithms, child configurations. Absent means empty. */
export function mapOf<T>(reader: Reader<T>): Reader<ReadonlyMap<string, T>> {
  return (value, at) => {
    if (value === undefined) return new Map();
    if (!isSection(value)) return unfit(value, at, 'a section');
    const result = new Map<string, T>();
    for (const [name, inner] of value) result.set(name, reader(inner, name));
    return result;
  };
}

/** The one section within a body or section whose key is a name, and that name. */
export function soleSection(value: ViciValue | undefined, at: string): readonly [string, ViciSection] {
  if (isSection(value)) {
    for (const [name, inner] of value) if (isSection(inner)) return [name, inner];
  }
  return unfit(value, at, 'a section with a named one in it');
}

/** Reads a body that is one section under a name. */
export function sole<T>(reader: Reader<T>): (body: ViciSection) => T {
  return (body) => {
    const [name, section] = soleSection(body, 'the body');
    return reader(section, name);
  };
}

function lossyText(value: ViciItem): string {
  return typeof value === 'string' ? value : Buffer.from(value).toString('utf8');
}

function unfit(value: ViciValue | undefined, at: string, wanted: string): never {
  const found = value === undefined ? 'nothing' : describe(value);
  throw new ViciError('malformed-message', `${at} should be ${wanted}, not ${found}`);
}

function describe(value: ViciValue): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (value instanceof Uint8Array) return 'bytes';
  return isSection(value) ? 'a section' : 'a list';
}
