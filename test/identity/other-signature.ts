/** Order of the curve P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * The same certificate in other bytes: of an ECDSA signature (r, s), (r, n - s) is one as well, and anybody can make it.
 * For certificates of a P-256 CA.
 */
export function withOtherSignature(pem: string): string {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  const [certificate] = elementsOf(der);
  const [content, algorithm, signature] = elementsOf(certificate?.content ?? der);
  // One byte of a BIT STRING counts the bits that do not.
  const [pair] = elementsOf(signature?.content.subarray(1) ?? der);
  const [r, s] = elementsOf(pair?.content ?? der);
  if (content === undefined || algorithm === undefined || r === undefined || s === undefined) {
    throw new TypeError('not a certificate with an ECDSA signature');
  }
  const mirrored = ORDER - BigInt(`0x${s.content.toString('hex')}`);
  const bytes = Buffer.from(mirrored.toString(16).padStart(64, '0'), 'hex');
  const other = element(0x02, (bytes[0] ?? 0) < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes]));
  const bits = element(0x03, Buffer.concat([Buffer.of(0), element(0x30, Buffer.concat([r.whole, other]))]));
  const changed = element(0x30, Buffer.concat([content.whole, algorithm.whole, bits]));
  return `-----BEGIN CERTIFICATE-----\n${changed.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

interface Element {
  readonly whole: Buffer;
  readonly content: Buffer;
}

/** The DER elements one after the other. */
function elementsOf(bytes: Buffer): readonly Element[] {
  const elements: Element[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const first = bytes[offset + 1] ?? 0;
    const lengthBytes = first < 0x80 ? 0 : first - 0x80;
    const length = lengthBytes === 0 ? first : bytes.readUIntBE(offset + 2, lengthBytes);
    const start = offset + 2 + lengthBytes;
    elements.push({ whole: bytes.subarray(offset, start + length), content: bytes.subarray(start, start + length) });
    offset = start + length;
  }
  return elements;
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}
