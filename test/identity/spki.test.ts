import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { spkiSha256 } from '../../src/identity/spki.ts';

/** The same key with its point compressed: a valid SubjectPublicKeyInfo of other bytes. */
function withCompressedPoint(publicKey: KeyObject): KeyObject {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const [algorithm, x, lastOfY] = [der.subarray(2, 23), der.subarray(27, 59), der[90] ?? 0];
  const bits = Buffer.concat([Buffer.from([0x03, 0x22, 0x00, 0x02 + (lastOfY & 1)]), x]);
  const body = Buffer.concat([algorithm, bits]);
  return createPublicKey({ key: Buffer.concat([Buffer.from([0x30, body.length]), body]), format: 'der', type: 'spki' });
}

describe('the hash of a public key', () => {
  it('is the same for another encoding of the same key', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const other = withCompressedPoint(publicKey);
    expect(other.export({ type: 'spki', format: 'der' })).not.toEqual(
      publicKey.export({ type: 'spki', format: 'der' }),
    );
    expect(spkiSha256(other)).toBe(spkiSha256(publicKey));
  });

  it.each([
    ['ec', { namedCurve: 'P-384' }],
    ['rsa', { modulusLength: 2048 }],
  ])('of kind %s is that of its usual SubjectPublicKeyInfo', (kind, options) => {
    const { publicKey } = generateKeyPairSync(kind as 'ec', options as { namedCurve: string });
    const usual = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' }));
    expect(spkiSha256(publicKey)).toBe(usual.digest('hex'));
  });
});
