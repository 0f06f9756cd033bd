/** As much of DER as a CRL needs. */

export const DER_TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  /** `[0]`, constructed. */
  context0: 0xa0,
  /** `[0]`, primitive. */
  implicit0: 0x80,
} as const;

export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

export function derElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return Buffer.concat([Buffer.of(tag), lengthBytes(length), ...contents]);
}

/** A number that is not negative, in hex. */
export function derInteger(hex: string): Buffer {
  const digits = hex.replace(/^0+(?=.)/, '');
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return derElement(DER_TAG.integer, ...((bytes[0] ?? 0) < 0x80 ? [] : [Buffer.of(0)]), bytes);
}

/** `ms` since the epoch, as RFC 5280 wants times: to the second, and in another form from 2050 on. */
export function derTime(ms: number): Buffer {
  const date = new Date(ms);
  const text = `${date.toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? derElement(DER_TAG.utcTime, Buffer.from(text.slice(2)))
    : derElement(DER_TAG.generalizedTime, Buffer.from(text));
}

/** The elements that fill `bytes`. Throws a RangeError when they do not. */
export function readDer(bytes: Buffer): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const first = bytes[offset + 1];
    if (first === undefined || first === 0x80 || first > 0x84) throw new RangeError('no length in DER');
    const sizeBytes = first < 0x80 ? 0 : first - 0x80;
    const start = offset + 2 + sizeBytes;
    const end = start + (sizeBytes === 0 ? first : bytes.readUIntBE(offset + 2, sizeBytes));
    if (end > bytes.length) throw new RangeError('an element of DER is cut off');
    elements.push({
      tag: bytes[offset] ?? 0,
      content: bytes.subarray(start, end),
      whole: bytes.subarray(offset, end),
    });
    offset = end;
  }
  return elements;
}

function lengthBytes(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.of(0x80 + bytes.length), bytes]);
}
