import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, digestOf } from '../src/json.ts';

/** The same value with the keys of every object in another order. */
function reordered(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(reordered);
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reordered(inner)]),
  );
}

describe('canonical JSON', () => {
  it('does not depend on the order of keys, nor does the digest', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(reordered(value))).toBe(canonicalJson(value));
        expect(digestOf(reordered(value))).toBe(digestOf(value));
      }),
    ));

  it('means the same as the value', () =>
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: true }), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    ));

  it('sorts keys by code unit, and keeps the order of arrays', () =>
    expect(canonicalJson({ b: [2, 1], a: { ä: 1, Z: 2, z: null } })).toBe('{"a":{"Z":2,"z":null,"ä":1},"b":[2,1]}'));

  it('keeps a key named __proto__', () =>
    expect(canonicalJson(JSON.parse('{"__proto__":{"a":1}}'))).toBe('{"__proto__":{"a":1}}'));
});

describe('a digest', () => {
  it('is 64 hex digits, and the same for ever: ledgers on disk hold it', () =>
    expect(digestOf({ b: 1, a: [true] })).toBe('708747538ba81fd60b5aac8c646370de5e24abf70ab1872f67458a5a4f3af05d'));

  it('differs for values that differ', () => {
    const values = [{}, [], null, '', 0, { a: 1 }, { a: '1' }, { a: [1] }, { a: null }];
    expect(new Set(values.map(digestOf)).size).toBe(values.length);
  });
});
