import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeProbe, encodeProbe, type ProbePacket } from '../../src/agent/probe-packet.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const packets: fc.Arbitrary<ProbePacket> = fc.oneof(
  fc.record({ type: fc.constantFrom('ask' as const, 'answer' as const), sender: uint32, sequence: uint32 }),
  fc.record({ type: fc.constant('lost' as const), initiatorSpi: fc.stringMatching(/^[0-9a-f]{16}$/) }),
);

describe('a probe packet', () => {
  it.each<[ProbePacket, string]>([
    [{ type: 'ask', sender: 1, sequence: 2 }, '43594731000000000000000100000002'],
    [{ type: 'answer', sender: 0xffff_ffff, sequence: 0x8000_0000 }, '4359473100000001ffffffff80000000'],
    [{ type: 'lost', initiatorSpi: '0123456789abcdef' }, '43594731000000020123456789abcdef'],
  ])('%j has these bytes', (packet, hex) => {
    expect(Buffer.from(encodeProbe(packet)).toString('hex')).toBe(hex);
    expect(decodeProbe(Buffer.from(hex, 'hex'))).toEqual(packet);
  });

  it('survives the wire', () =>
    fc.assert(fc.property(packets, (packet) => void expect(decodeProbe(encodeProbe(packet))).toEqual(packet))));

  it('is read from the middle of a larger buffer', () => {
    const padded = Buffer.concat([Buffer.alloc(3, 0xff), encodeProbe({ type: 'ask', sender: 5, sequence: 6 })]);
    expect(decodeProbe(new Uint8Array(padded).subarray(3))).toEqual({ type: 'ask', sender: 5, sequence: 6 });
  });

  it('is none of anything else, which never throws', () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
        (bytes) => {
          const packet = decodeProbe(bytes);
          if (packet !== undefined) expect(Buffer.from(encodeProbe(packet))).toEqual(Buffer.from(bytes));
        },
      ),
    ));

  it('is none with any byte of its magic or its type changed, or cut, or with more behind it', () =>
    fc.assert(
      fc.property(packets, fc.nat(6), fc.integer({ min: 1, max: 255 }), fc.nat(15), (packet, at, flip, length) => {
        const whole = encodeProbe(packet);
        const damaged = whole.map((byte, index) => (index === at ? byte ^ flip : byte));
        expect(decodeProbe(damaged)).toBeUndefined();
        expect(decodeProbe(whole.subarray(0, length))).toBeUndefined();
        expect(decodeProbe(Buffer.concat([whole, Buffer.of(0)]))).toBeUndefined();
      }),
    ));

  it('of no known type is none', () =>
    expect(decodeProbe(Buffer.from('43594731000000030000000000000000', 'hex'))).toBeUndefined());
});
