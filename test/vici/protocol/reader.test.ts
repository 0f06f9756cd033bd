import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ViciSection, ViciValue } from '../../../src/vici/message.ts';
import {
  bytes,
  flag,
  integer,
  mapOf,
  namedSectionOf,
  optional,
  sectionOf,
  sole,
  text,
  texts,
  type Reader,
} from '../../../src/vici/protocol/reader.ts';
import { ViciError } from '../../../src/vici/vici-error.ts';
import { section } from './section.ts';

/** What no reader but that of bytes can make into text. */
const NO_UTF8 = Uint8Array.of(0x43, 0xff, 0x4e);

interface Tunnel {
  readonly name: string;
  readonly state: string;
  readonly up: boolean;
  readonly age?: number | undefined;
}
const tunnel = namedSectionOf<Tunnel>({ state: text, up: flag, age: optional(integer) });

describe('a reader of', () => {
  it.each<[string, Reader<unknown>, ViciValue | undefined, unknown]>([
    ['text', text, 'a', 'a'],
    ['text', text, '', ''],
    ['text in another encoding', text, NO_UTF8, 'C�N'],
    ['bytes', bytes, NO_UTF8, NO_UTF8],
    ['bytes that happen to be text', bytes, 'é', Buffer.from('é')],
    ['an integer', integer, '0', 0],
    ['a negative integer', integer, '-5', -5],
    ['a 64-bit counter', integer, '18446744073709551615', 2 ** 64],
    ['a flag', flag, 'yes', true],
    ['a flag', flag, 'no', false],
    ['a flag that is not set', flag, undefined, false],
    ['a list', texts, ['a', NO_UTF8], ['a', 'C�N']],
    ['no list', texts, undefined, []],
    ['an absent value', optional(integer), undefined, undefined],
    ['a present value', optional(integer), '7', 7],
    ['a section', sectionOf<{ a: string }>({ a: text }), section({ a: '1', newer: 'x' }), { a: '1' }],
    ['a named section', tunnel, section({ state: 'UP' }), { name: 'at', state: 'UP', up: false, age: undefined }],
    [
      'sections by name',
      mapOf(integer),
      section({ a: '1', b: '2' }),
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ],
    ['no section', mapOf(integer), undefined, new Map()],
  ])('%s reads %j', (_what, reader, value, expected) => expect(reader(value, 'at')).toEqual(expected));

  it.each<[string, Reader<unknown>, ViciValue | undefined, string]>([
    ['text', text, undefined, 'at should be text, not nothing'],
    ['text', text, [], 'at should be text, not a list'],
    ['bytes', bytes, section({}), 'at should be bytes, not a section'],
    ['an integer', integer, '1.5', 'at should be a decimal integer, not "1.5"'],
    ['an integer', integer, '0x10', 'at should be a decimal integer, not "0x10"'],
    ['an integer', integer, '', 'at should be a decimal integer, not ""'],
    ['an integer', integer, NO_UTF8, 'at should be a decimal integer, not bytes'],
    ['a flag', flag, 'x'.repeat(50), `at should be yes or no, not "${'x'.repeat(40)}…"`],
    ['a list', texts, 'a', 'at should be a list, not "a"'],
    ['a list', texts, section({}), 'at should be a list, not a section'],
    ['a section', tunnel, 'a', 'at should be a section, not "a"'],
    ['a section without what it must have', tunnel, section({}), 'state should be text, not nothing'],
    ['sections by name', mapOf(integer), ['1'], 'at should be a section, not a list'],
    ['sections by name', mapOf(integer), section({ a: 'b' }), 'a should be a decimal integer, not "b"'],
  ])('%s refuses %j', (_what, reader, value, detail) => {
    expect(() => reader(value, 'at')).toThrow(expect.objectContaining({ code: 'malformed-message', detail }) as Error);
  });
});

describe('a body that is one section', () => {
  const read = sole(tunnel);

  it('has its name from the key, whatever else stands beside it', () => {
    const body = section({ up: 'yes', list: ['x'], gw: section({ state: 'UP', age: '3' }) });
    expect(read(body)).toEqual({ name: 'gw', state: 'UP', up: false, age: 3 });
  });

  it('is refused without one', () => expect(() => read(section({ up: 'yes' }))).toThrow(ViciError));

  it('does not take a key of the section for the name', () => {
    expect(read(section({ gw: section({ name: 'other', state: 'UP' }) })).name).toBe('gw');
  });
});

it('keeps what was read apart from what is read next', () => {
  const first = tunnel(section({ state: 'UP', age: '1' }), 'one');
  const second = tunnel(section({ state: 'DOWN' }), 'two');
  expect([first, second]).toEqual([
    { name: 'one', state: 'UP', up: false, age: 1 },
    { name: 'two', state: 'DOWN', up: false, age: undefined },
  ]);
});

it('gives a value or the one error, whatever comes', () => {
  const { value } = fc.letrec<{ value: ViciValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string(),
      fc.uint8Array(),
      fc.array(fc.string()),
      fc.array(fc.tuple(fc.constantFrom('state', 'up', 'age', 'x'), tie('value'))).map((entries) => new Map(entries)),
    ),
  }));
  const readers = [text, bytes, integer, flag, texts, tunnel, mapOf(tunnel), sole(tunnel) as Reader<unknown>];
  fc.assert(
    fc.property(
      fc.constantFrom(...readers),
      fc.oneof(value, fc.constant(new Map() as ViciSection)),
      (reader, given) => {
        try {
          reader(given, 'at');
        } catch (error) {
          expect(error).toBeInstanceOf(ViciError);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
