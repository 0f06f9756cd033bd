import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { SigningError } from './signing-error.ts';

/** The mesh's signing key: Ed25519, and neither the CA's nor any of TLS. What it signs are statements (`statement.ts`). */

/** Its public part: 32 bytes in base64url, compared as text. */
export const publicKeySchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, 'not an Ed25519 public key in base64url')
  .brand<'SigningPublicKey'>();
export type SigningPublicKey = z.output<typeof publicKeySchema>;

const SIGNATURE_BYTES = 64;

export interface SigningKey {
  readonly publicKey: SigningPublicKey;
  /** The signature over the bytes, in base64url. */
  sign(bytes: Uint8Array): string;
}

/** Makes a key and returns it in PEM (PKCS#8, not encrypted). The caller keeps it safe. */
export function generateSigningKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** @throws SigningError `bad-key` */
export function signingKeyOf(privateKeyPem: string): SigningKey {
  const key = read(() => createPrivateKey(privateKeyPem));
  return {
    publicKey: rawPublicKey(createPublicKey(key)),
    sign: (bytes) => sign(null, bytes, key).toString('base64url'),
  };
}

/**
 * The public part from PEM (SPKI), as `openssl pkey -pubout` or `meshctl signing-key create` write it.
 * @throws SigningError `bad-key`
 */
export function signingPublicKeyOf(publicKeyPem: string): SigningPublicKey {
  // Node would take the public part out of a private key, too; one that lies about must not go unnoticed.
  if (publicKeyPem.includes('PRIVATE KEY')) throw new SigningError('bad-key', 'it is the private key');
  return rawPublicKey(read(() => createPublicKey(publicKeyPem)));
}

export function publicKeyPem(publicKey: SigningPublicKey): string {
  return keyObjectOf(publicKey).export({ type: 'spki', format: 'pem' }).toString();
}

export function isSignedBy(publicKey: SigningPublicKey, bytes: Uint8Array, signature: string): boolean {
  const raw = Buffer.from(signature, 'base64url');
  return raw.length === SIGNATURE_BYTES && verify(null, bytes, keyObjectOf(publicKey), raw);
}

function keyObjectOf(publicKey: SigningPublicKey): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
}

function rawPublicKey(key: KeyObject): SigningPublicKey {
  return publicKeySchema.parse(key.export({ format: 'jwk' }).x);
}

function read(create: () => KeyObject): KeyObject {
  try {
    const key = create();
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch (cause) {
    throw new SigningError('bad-key', 'it is no key in PEM, or it is encrypted', { cause });
  }
  throw new SigningError('bad-key', 'it is no Ed25519 key');
}
