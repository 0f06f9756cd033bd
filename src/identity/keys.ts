import { createPrivateKey, createPublicKey, generateKeyPair, webcrypto, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { IdentityError } from './identity-error.ts';

export const KEY_KINDS = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072'] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

type CryptoKeyPair = webcrypto.CryptoKeyPair;
type SigningAlgorithm = webcrypto.RsaHashedImportParams | (webcrypto.EcKeyImportParams & { readonly hash: string });

/** What WebCrypto has to be told of each kind, the hash of its signatures included. */
const SIGNING: Readonly<Record<KeyKind, SigningAlgorithm>> = {
  'ecdsa-p256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'ecdsa-p384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'rsa-2048': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  'rsa-3072': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
};

/** A key pair in the form that the certificate library signs with. */
export interface SigningKeys extends CryptoKeyPair {
  readonly algorithm: SigningAlgorithm;
}

const generate = promisify(generateKeyPair);

/** Makes a key pair and returns the private key, which holds both: PKCS#8 in PEM, not encrypted. The caller keeps it safe. */
export async function generatePrivateKey(kind: KeyKind): Promise<string> {
  const { privateKey } = await generateOf(kind);
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function generateOf(kind: KeyKind): Promise<{ readonly privateKey: KeyObject }> {
  switch (kind) {
    case 'ecdsa-p256':
      return generate('ec', { namedCurve: 'P-256' });
    case 'ecdsa-p384':
      return generate('ec', { namedCurve: 'P-384' });
    case 'rsa-2048':
      return generate('rsa', { modulusLength: 2048 });
    case 'rsa-3072':
      return generate('rsa', { modulusLength: 3072 });
  }
}

/** The kind of a public or private key; undefined when it is none that Cygnet uses. */
export function keyKindOf(key: KeyObject): KeyKind | undefined {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === 'ec') {
    if (details?.namedCurve === 'prime256v1') return 'ecdsa-p256';
    if (details?.namedCurve === 'secp384r1') return 'ecdsa-p384';
  }
  if (key.asymmetricKeyType === 'rsa' && details?.publicExponent === 65_537n) {
    if (details.modulusLength === 2048) return 'rsa-2048';
    if (details.modulusLength === 3072) return 'rsa-3072';
  }
  return undefined;
}

/**
 * Reads a private key that {@link generatePrivateKey} made.
 * @throws IdentityError `bad-key`
 */
export async function importSigningKeys(privateKeyPem: string): Promise<SigningKeys> {
  const privateKey = readPrivateKey(privateKeyPem);
  const kind = keyKindOf(privateKey);
  if (kind === undefined) {
    throw new IdentityError('bad-key', `the private key is of another kind than ${KEY_KINDS.join(', ')}`);
  }
  const algorithm = SIGNING[kind];
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return {
    algorithm,
    privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, algorithm, true, ['verify']),
  };
}

function readPrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new IdentityError('bad-key', 'the private key cannot be read: PKCS#8 in PEM is expected', { cause: error });
  }
}
