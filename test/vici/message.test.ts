import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  SECTION_DEPTH_MAX,
  VALUE_BYTES_MAX,
  type ViciItem,
  type ViciSection,
  type ViciValue,
} from '../../src/vici/message.ts';
import { viciErrorOf } from './vici-error-of.ts';

const ascii = (text: string): number[] => [...Buffer.from(text, 'latin1')];

/** The encoding example of strongSwan's VICI README, byte for byte. */
const exampleBytes = Uint8Array.from(
  [
    [3, 4, ...ascii('key1'), 0, 6, ...ascii('value1')],
    [1, 8, ...ascii('section1')],
    [1, 11, ...ascii('sub-section')],
    [3, 4, ...ascii('key2'), 0, 6, ...ascii('value2')],
    [2],
    [4, 5, ...ascii('list1')],
    [5, 0, 5, ...ascii('item1')],
    [5, 0, 5, ...ascii('item2')],
    [6],
    [2],
  ].flat(),
);
const example: ViciSection = new Map<string, ViciValue>([
  ['key1', 'value1'],
  [
    'section1',
    new Map<string, ViciValue>([
      ['sub-section', new Map([['key2', 'value2']])],
      ['list1', ['item1', 'item2']],
    ]),
  ],
]);

/** What comes back as itself: bytes only where they are no UTF-8. */
const item: fc.Arbitrary<ViciItem> = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Uint8Array.of(0xff, ...bytes)),
);
const section: fc.Arbitrary<ViciSection> = fc.letrec<{ section: ViciSection; value: ViciValue }>((tie) => ({
  section: fc
    .array(fc.tuple(fc.string({ unit: 'grapheme-ascii', maxLength: 255 }), tie('value')), { maxLength: 6 })
    .map((entries) => new Map(entries)),
  value: fc.oneof({ maxDepth: 4 }, item, fc.array(item, { maxLength: 5 }), tie('section')),
})).section;

function nested(levels: number): ViciSection {
  return levels === 0 ? new Map() : new Map([['s', nested(levels - 1)]]);
}

describe('the message format', () => {
  it('encodes the example of the specification to its bytes', () => {
    expect([...encodeMessage(example)]).toEqual([...exampleBytes]);
  });

  it('decodes the bytes of the example of the specification', () => {
    expect(decodeMessage(exampleBytes)).toEqual(example);
  });

  it('gives back every message that it can encode', () => {
    fc.assert(
      fc.property(section, (message) => {
        expect(decodeMessage(encodeMessage(message))).toEqual(message);
      }),
    );
  });

  it.each<[string, readonly number[]]>([
    ['DER', [0x30, 0x82, 0x01, 0x0a, 0xff]],
    ['a byte order mark', [0xef, 0xbb, 0xbf, 0x41]],
    ['NUL', [0]],
    ['overlong UTF-8', [0xc0, 0x80]],
    ['an encoded surrogate', [0xed, 0xa0, 0x80]],
  ])('keeps the bytes of %s', (_what, bytes) => {
    const encoded = encodeMessage(new Map([['data', Uint8Array.from(bytes)]]));
    expect([...encoded].slice(-bytes.length)).toEqual(bytes);
    expect(encodeMessage(decodeMessage(encoded))).toEqual(encoded);
  });

  it('lets the last of equal names win', () => {
    const twice = Buffer.concat([encodeMessage(new Map([['a', 'old']])), encodeMessage(new Map([['a', 'new']]))]);
    expect(decodeMessage(twice)).toEqual(new Map([['a', 'new']]));
  });

  it('shows a foreign name that is not ASCII instead of refusing the message', () => {
    const name = Buffer.from('büro');
    expect([...decodeMessage(Uint8Array.of(1, name.length, ...name, 2)).keys()]).toEqual(['büro']);
  });

  it('reads a section without a name, which holds the global counters', () => {
    expect(decodeMessage(Uint8Array.of(1, 0, 2))).toEqual(new Map([['', new Map()]]));
  });
});

describe('decoding what is malformed', () => {
  it.each<[string, readonly number[]]>([
    ['an unknown element', [7]],
    ['element zero', [0]],
    ['a section that does not end', [1, 1, 0x61]],
    ['the end of no section', [2]],
    ['a section end for the root', [3, 1, 0x61, 0, 0, 2]],
    ['a list that does not end', [4, 1, 0x61]],
    ['a key within a list', [4, 1, 0x61, 3, 1, 0x62, 0, 0, 6]],
    ['a list within a list', [4, 1, 0x61, 4, 1, 0x62, 6, 6]],
    ['a section within a list', [4, 1, 0x61, 1, 1, 0x62, 2, 6]],
    ['an item outside a list', [5, 0, 0]],
    ['the end of no list', [6]],
    ['a name without its length', [3]],
    ['a name that is cut off', [3, 5, 0x61]],
    ['half a value length', [3, 1, 0x61, 0]],
    ['a value that is cut off', [3, 1, 0x61, 0xff, 0xff, 0x62]],
  ])('refuses %s', (_what, bytes) => {
    expect(viciErrorOf(() => decodeMessage(Uint8Array.from(bytes))).code).toBe('malformed-message');
  });

  it('refuses every true prefix of the example except those at the end of a root entry', () => {
    const decodable = Array.from(exampleBytes, (_byte, length) => length).filter((length) => {
      try {
        return decodeMessage(exampleBytes.subarray(0, length)) !== undefined;
      } catch {
        return false;
      }
    });
    expect(decodable).toEqual([0, 14]);
  });

  it('takes nesting up to the limit, in both directions, and not one level more', () => {
    const deepest = nested(SECTION_DEPTH_MAX - 1);
    expect(decodeMessage(encodeMessage(deepest))).toEqual(deepest);
    expect(viciErrorOf(() => encodeMessage(nested(SECTION_DEPTH_MAX))).code).toBe('invalid-request');
    const tooDeep = Buffer.from('010173'.repeat(SECTION_DEPTH_MAX), 'hex');
    expect(viciErrorOf(() => decodeMessage(tooDeep)).detail).toContain('deeper');
  });

  it('survives a segment full of section starts', () => {
    const bytes = Buffer.alloc(512 * 1024, Buffer.from([1, 0]));
    expect(viciErrorOf(() => decodeMessage(bytes)).code).toBe('malformed-message');
  });

  it('yields a message or malformed-message for any bytes', () => {
    const plausible = fc.array(fc.oneof(fc.nat(7), fc.constantFrom(0, 1, 2, 0x61, 0xff)), { maxLength: 60 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }),
          plausible.map((bytes) => Uint8Array.from(bytes)),
        ),
        (bytes) => {
          try {
            expect(decodeMessage(bytes)).toBeInstanceOf(Map);
          } catch (error) {
            expect(error).toMatchObject({ name: 'ViciError', code: 'malformed-message' });
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('yields a message or malformed-message when one byte of a message is changed', () => {
    fc.assert(
      fc.property(section, fc.nat(), fc.nat(255), (message, position, byte) => {
        const bytes = encodeMessage(message);
        if (bytes.length > 0) bytes[position % bytes.length] = byte;
        try {
          expect(decodeMessage(bytes)).toBeInstanceOf(Map);
        } catch (error) {
          expect(error).toMatchObject({ name: 'ViciError', code: 'malformed-message' });
        }
      }),
    );
  });
});

describe('encoding what the wire cannot carry', () => {
  const cyclic = new Map<string, ViciValue>();
  cyclic.set('self', cyclic);

  it.each<[string, ViciSection]>([
    ['a key of 256 bytes', new Map([['k'.repeat(256), '']])],
    ['a key with a line break', new Map([['a\nb', '']])],
    ['a key that is not ASCII', new Map([['büro', '']])],
    ['a section name that is not printable', new Map([['\x7f', new Map()]])],
    ['a list name that is not printable', new Map([['\0', ['x']]])],
    ['a value of 65,536 bytes', new Map([['k', new Uint8Array(VALUE_BYTES_MAX + 1)]])],
    ['a text of 65,536 bytes in UTF-8', new Map([['k', 'é'.repeat(32_768)]])],
    ['a list item of 65,536 bytes', new Map([['k', ['x'.repeat(VALUE_BYTES_MAX + 1)]]])],
    ['a lone surrogate', new Map([['k', '\ud800']])],
    ['a section that contains itself', cyclic],
  ])('refuses %s', (_what, message) => {
    expect(viciErrorOf(() => encodeMessage(message)).code).toBe('invalid-request');
  });

  it('takes names of 255 and values of 65,535 bytes', () => {
    const largest = new Map([['k'.repeat(255), 'v'.repeat(VALUE_BYTES_MAX)]]);
    expect(decodeMessage(encodeMessage(largest))).toEqual(largest);
  });
});
