import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress, type Endpoint } from '../../../src/agent/netcheck/endpoint.ts';
import {
  decodeStun,
  encodeRequest,
  encodeResponse,
  responseBytesTo,
  TRANSACTION_ID_BYTES,
} from '../../../src/agent/netcheck/stun.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
const refused = (reason: string): unknown => ({ type: 'refused', reason });

const id = hex('b7e7a701bc34d686fa87dfae');
/** The header of RFC 5769's samples. */
const header = (type: string, length: string): string => `${type}${length}2112a442b7e7a701bc34d686fa87dfae`;
const IPV4 = '0020 0008 0001a147 e112a643';
const IPV6 = '0020 0014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9';

/** The sample responses of RFC 5769 (2.2 and 2.3), with all that a full server adds, and what they mean. */
const samples: readonly (readonly [string, string, Endpoint])[] = [
  [
    'IPv4',
    `${header('0101', '003c')} 8022000b 7465737420766563746f7220 ${IPV4} 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96`,
    { address: '192.0.2.1', port: 32_853 },
  ],
  [
    'IPv6',
    `${header('0101', '0048')} 8022000b 7465737420766563746f7220 ${IPV6} 00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c`,
    { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 },
  ],
];

const endpoints: fc.Arbitrary<Endpoint> = fc.record({
  address: fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => canonicalAddress(text)!),
  port: fc.integer({ min: 0, max: 65_535 }),
});
const ids = fc.uint8Array({ minLength: TRANSACTION_ID_BYTES, maxLength: TRANSACTION_ID_BYTES });
const requestSizes = fc.integer({ min: 6, max: 375 }).map((words) => words * 4);

describe('a binding request', () => {
  it('is a header and one attribute that a server may skip', () =>
    expect(encodeRequest(id, 28)).toEqual(hex(`${header('0001', '0008')} ffc70004 00000000`)));

  it('is read whatever its size', () =>
    fc.assert(
      fc.property(ids, requestSizes, (transactionId, bytes) => {
        const datagram = encodeRequest(transactionId, bytes);
        expect(datagram.byteLength).toBe(bytes);
        expect(decodeStun(datagram)).toEqual({ type: 'request', transactionId });
      }),
    ));

  it('needs no attribute', () =>
    expect(decodeStun(hex(header('0001', '0000')))).toEqual({ type: 'request', transactionId: id }));

  it.each([20, 26, 1504])('cannot have %i bytes', (bytes) =>
    expect(() => encodeRequest(id, bytes)).toThrow(RangeError),
  );

  it('has an id of 12 bytes', () => expect(() => encodeRequest(id.subarray(1), 24)).toThrow(RangeError));
});

describe('a response', () => {
  it.each(samples)('is read as in RFC 5769: %s', (_family, text, mapped) =>
    expect(decodeStun(hex(text))).toEqual({ type: 'response', transactionId: id, mapped }),
  );

  it.each([
    [samples[0]![2], `${header('0101', '000c')} ${IPV4}`],
    [samples[1]![2], `${header('0101', '0018')} ${IPV6}`],
  ])('to %j has that one attribute', (mapped, text) => expect(encodeResponse(id, mapped)).toEqual(hex(text)));

  it('says what was put in, and is as long as promised', () =>
    fc.assert(
      fc.property(ids, endpoints, (transactionId, mapped) => {
        const datagram = encodeResponse(transactionId, mapped);
        expect(datagram.byteLength).toBe(responseBytesTo(mapped.address));
        expect(decodeStun(datagram)).toEqual({ type: 'response', transactionId, mapped });
      }),
    ));
});

describe('a datagram is refused that', () => {
  it.each([
    ['is too short', header('0001', '0000').slice(2), 'too-short'],
    ['has another cookie', `00010000 2112a443 ${'00'.repeat(12)}`, 'not-stun'],
    ['is longer than it says', `${header('0001', '0000')} 00000000`, 'wrong-length'],
    ['is shorter than it says', header('0001', '0004'), 'wrong-length'],
    ['is not padded to words', `${header('0001', '0002')} 0000`, 'wrong-length'],
    ['is an indication', header('0011', '0000'), 'other-message'],
    ['is an error response', header('0111', '0000'), 'other-message'],
    ['has an attribute that reaches beyond the end', `${header('0001', '0004')} ffc70001`, 'broken-attribute'],
    ['asks for what must be understood', `${header('0001', '0008')} 00030004 00000000`, 'unknown-attribute'],
    ['is a response without an address', header('0101', '0000'), 'no-address'],
    ['has an address of no family', `${header('0101', '000c')} 00200008 0003a147 e112a643`, 'broken-attribute'],
    ['has an address that is too short', `${header('0101', '0008')} 00200004 0001a147`, 'broken-attribute'],
    ['has an address attribute without a value', `${header('0101', '0004')} 00200000`, 'broken-attribute'],
  ])('%s', (_what, text, reason) => expect(decodeStun(hex(text))).toEqual(refused(reason)));

  it('is longer than a packet', () => expect(decodeStun(new Uint8Array(1501))).toEqual(refused('too-long')));
});

describe('any bytes', () => {
  const types = ['request', 'response', 'refused'];

  it('give a message or a refusal', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1600 }), (datagram) => {
        expect(types).toContain(decodeStun(datagram).type);
      }),
    ));

  it('behind a good header do so too', () =>
    fc.assert(
      fc.property(fc.constantFrom('0001', '0101'), fc.uint8Array({ maxLength: 400 }), (type, body) => {
        const whole = body.subarray(0, body.length - (body.length % 4));
        const length = whole.length.toString(16).padStart(4, '0');
        const datagram = Buffer.concat([hex(header(type, length)), whole]);
        expect(types).toContain(decodeStun(datagram).type);
      }),
      { numRuns: 2000 },
    ));

  it('do so when a good message is cut or changed', () =>
    fc.assert(
      fc.property(endpoints, fc.nat(), fc.nat({ max: 255 }), fc.nat(), (mapped, at, byte, cut) => {
        const datagram = encodeResponse(id, mapped);
        datagram[at % datagram.length] = byte;
        expect(types).toContain(decodeStun(datagram).type);
        expect(decodeStun(encodeResponse(id, mapped).subarray(0, cut % datagram.length)).type).toBe('refused');
      }),
    ));
});
