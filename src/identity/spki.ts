import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { keyKindOf } from './keys.ts';

/**
 * Hex SHA-256 of a public key's SubjectPublicKeyInfo: what pins and keys are compared by. One key has one hash, however
 * its sender has encoded it: Node exports a compressed point as it came, and a key that is barred would be another one.
 */
export function spkiSha256(publicKey: KeyObject): string {
  return createHash('sha256').update(canonicalSpki(publicKey)).digest('hex');
}

/** A JWK holds numbers only, so what is made of it has but one encoding. Keys that are not used here may have none. */
function canonicalSpki(publicKey: KeyObject): Buffer {
  if (keyKindOf(publicKey) === undefined) return publicKey.export({ type: 'spki', format: 'der' });
  const fromNumbers = createPublicKey({ key: publicKey.export({ format: 'jwk' }), format: 'jwk' });
  return fromNumbers.export({ type: 'spki', format: 'der' });
}
