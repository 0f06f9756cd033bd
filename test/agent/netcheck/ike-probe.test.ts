import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeIkeAnswer, encodeIkeProbe, SPI_BYTES } from '../../../src/agent/netcheck/ike-probe.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

const spi = hex('279ad5d50c596d99');
/** What strongSwan 5.9.8 and 6.0.1 answer. */
const ANSWER = `279ad5d50c596d99 0000000000000000 29 20 22 20 00000000 00000024 00000008 00000005`;
const MARKER = '00000000';

/** The answer with a part of it replaced. */
const changed = (part: string, by: string): Uint8Array => {
  expect(ANSWER).toContain(part);
  return hex(ANSWER.replace(part, by));
};

describe('the probe', () => {
  it('on port 500 is the header of an IKE_SA_INIT of version 3', () =>
    expect(encodeIkeProbe(spi, { marker: false })).toEqual(
      hex('279ad5d50c596d99 0000000000000000 00 30 22 08 00000000 0000001c'),
    ));

  it('on port 4500 has the marker in front', () =>
    expect(encodeIkeProbe(spi, { marker: true })).toEqual(
      Uint8Array.from([...hex(MARKER), ...encodeIkeProbe(spi, { marker: false })]),
    ));

  it.each([new Uint8Array(SPI_BYTES), spi.subarray(1)])('cannot have the SPI %j', (bad) =>
    expect(() => encodeIkeProbe(bad, { marker: false })).toThrow(RangeError),
  );
});

describe('the answer', () => {
  const answer = { type: 'invalid-major-version', initiatorSpi: spi };

  it('is known on port 500', () => expect(decodeIkeAnswer(hex(ANSWER), { marker: false })).toEqual(answer));

  it('is known on port 4500', () => expect(decodeIkeAnswer(hex(MARKER + ANSWER), { marker: true })).toEqual(answer));

  it.each<[string, Uint8Array, string]>([
    ['is too short', hex(ANSWER).subarray(0, 35), 'too-short'],
    ['is longer than it says', hex(`${ANSWER}00`), 'wrong-length'],
    ['is of another version', changed('29 20', '29 30'), 'other-version'],
    ['has another payload', changed('29 20', '21 20'), 'other-message'],
    ['has another notify', changed('00000005', '00000007'), 'other-message'],
  ])('is not what %s', (_what, datagram, reason) =>
    expect(decodeIkeAnswer(datagram, { marker: false })).toEqual({ type: 'refused', reason }),
  );

  it('is not what has no marker where one belongs', () =>
    expect(decodeIkeAnswer(hex(`00000001${ANSWER}`), { marker: true })).toEqual({
      type: 'refused',
      reason: 'no-marker',
    }));

  it('is not the probe itself, from whoever sends back what it gets', () =>
    expect(decodeIkeAnswer(encodeIkeProbe(spi, { marker: true }), { marker: true }).type).toBe('refused'));

  it('is an answer or a refusal, whatever the bytes', () =>
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.boolean(),
        fc.nat(),
        fc.nat({ max: 255 }),
        (any, marker, at, byte) => {
          const bent = hex(ANSWER);
          bent[at % bent.length] = byte;
          for (const datagram of [any, bent]) {
            expect(['invalid-major-version', 'refused']).toContain(decodeIkeAnswer(datagram, { marker }).type);
          }
        },
      ),
    ));
});
