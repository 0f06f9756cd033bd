import { createHash, type KeyObject } from 'node:crypto';

/** Hex SHA-256 of a public key's SubjectPublicKeyInfo: what pins and channel keys are compared by. */
export function spkiSha256(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}
