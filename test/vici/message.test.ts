import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  SECTION_DEPTH_MAX,
  VALUE_BYTES_MAX,
  type ViciInput,
  type ViciSection,
  type ViciValue,
} from '../../src/vici/message.ts';
import { SEGMENT_BYTES_MAX } from '../../src/vici/segment.ts';
import { largeMessage, largeObject } from './large-message.ts';
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
});

describe('decoding', () => {
  it('keeps no reference to the bytes, which the socket may use again', () => {
    const bytes = encodeMessage({ a: 'x'.repeat(40), der: Uint8Array.of(0x30, 0xff), list: ['y'.repeat(40)] });
    const decoded = decodeMessage(bytes);
    bytes.fill(0xee);
    expect(decoded).toEqual(
      new Map<string, ViciValue>([
        ['a', 'x'.repeat(40)],
        ['der', Uint8Array.of(0x30, 0xff)],
        ['list', ['y'.repeat(40)]],
      ]),
    );
  });

  it('reads texts of every length, whatever stands around them', () => {
    const texts = Array.from({ length: 300 }, (_unused, length) => (length % 7 === 0 ? 'é' : 'e').repeat(length * 30));
    expect(decodeMessage(encodeMessage({ texts }))).toEqual(new Map([['texts', texts]]));
  });

  it('tells names apart that have the same place in the table of known ones', () => {
    const names = Array.from({ length: 5000 }, (_unused, index) => `name-${index}`);
    const message = new Map(names.map((name) => [name, name]));
    const encoded = encodeMessage(message);
    expect(decodeMessage(encoded)).toEqual(message);
    expect(encodeMessage(decodeMessage(encoded))).toEqual(encoded);
  });
});

describe('a large message', () => {
  it('fits into a segment just so, and comes back', () => {
    const bytes = encodeMessage(largeObject());
    expect(bytes.length).toBeGreaterThan(500_000);
    expect(bytes.length).toBeLessThan(SEGMENT_BYTES_MAX);
    expect(decodeMessage(bytes)).toEqual(largeMessage());
    expect(Buffer.compare(encodeMessage(largeMessage()), bytes)).toBe(0);
  });
});

describe('encoding plain objects', () => {
  it('writes what the same Maps give', () => {
    const object = { key1: 'value1', section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] } };
    expect([...encodeMessage(object)]).toEqual([...exampleBytes]);
  });

  it('takes a mixture of objects and Maps', () => {
    const mixed = {
      key1: 'value1',
      section1: new Map<string, ViciInput | string[]>([['sub-section', { key2: 'value2' }]]),
    };
    mixed.section1.set('list1', ['item1', 'item2']);
    expect([...encodeMessage(mixed)]).toEqual([...exampleBytes]);
  });

  it('writes numbers in decimal, booleans as yes and no, and nothing for undefined', () => {
    const input = { a: 0, b: -1, c: Number.MAX_SAFE_INTEGER, d: true, e: false, f: undefined, g: [7, true] };
    const same = { a: '0', b: '-1', c: '9007199254740991', d: 'yes', e: 'no', g: ['7', 'yes'] };
    expect(encodeMessage(input)).toEqual(encodeMessage(same));
  });

  it('takes the fields of an instance and of an object without a prototype, and nothing inherited', () => {
    class Child {
      readonly mode = 'tunnel';
      get ignored(): string {
        return 'on the prototype';
      }
    }
    const bare: ViciInput = Object.assign(Object.create(null) as object, { mode: 'tunnel' });
    expect([...encodeMessage({ child: bare })]).toEqual([...encodeMessage({ child: { mode: 'tunnel' } })]);
    expect(encodeMessage({ child: new Child() as unknown as ViciInput })).toEqual(encodeMessage({ child: bare }));
  });

  it('survives a getter that encodes something itself', () => {
    const input = {
      before: 'x',
      get within(): string {
        return String(encodeMessage({ inner: 'y'.repeat(9000) }).length);
      },
    };
    expect(encodeMessage(input)).toEqual(encodeMessage({ before: 'x', within: '9009' }));
  });

  it.each<[string, unknown, string]>([
    ['null', { gw: { version: null } }, 'gw.version'],
    ['NaN', { timeout: Number.NaN }, 'timeout'],
    ['a fraction', { timeout: 0.5 }, 'timeout'],
    ['a number that is not exact', { timeout: 2 ** 53 }, 'timeout'],
    ['a bigint', { timeout: 1n }, 'timeout'],
    ['a function', { gw: { updown: () => '' } }, 'gw.updown'],
    ['a symbol', { key: Symbol('s') }, 'key'],
    ['a list in a list', { gw: { children: { net: { local_ts: [['10.0.0.0/8']] } } } }, 'gw.children.net.local_ts'],
    ['a section in a list', { local: [{ auth: 'psk' }] }, 'local'],
    ['undefined in a list', { proposals: ['default', undefined] }, 'proposals'],
    ['a date', { since: new Date(0) }, 'since'],
    ['a set', { proposals: new Set(['default']) }, 'proposals'],
    ['a promise', { gw: Promise.resolve({}) }, 'gw'],
    ['another typed array', { data: new Uint16Array(2) }, 'data'],
    ['a buffer of no type', { data: new ArrayBuffer(2) }, 'data'],
    ['a key that is a number', { gw: new Map([[5, 'x']]) }, 'gw.number'],
    ['a list for a request', ['x'], 'the request'],
    ['nothing for a request', null, 'the request'],
    ['a text for a request', 'x', 'the request'],
    ['a bad name deep within', { gw: { ok: 'x', 'b\u00fcro': 'x' } }, 'gw.b\u00fcro'],
    ['what comes behind a section', { gw: { net: {}, version: null } }, 'gw.version'],
  ])('refuses %s and says where', (_what, input, path) => {
    const error = viciErrorOf(() => encodeMessage(input as ViciInput));
    expect(error).toMatchObject({ code: 'invalid-request', detail: expect.stringMatching(`^${path}: `) as unknown });
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
