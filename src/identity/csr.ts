import { createPublicKey, type KeyObject } from 'node:crypto';
import { IdentityError } from './identity-error.ts';
import { KEY_KINDS, importSigningKeys, keyKindOf, type KeyKind } from './keys.ts';
import { spkiSha256 } from './spki.ts';
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from './x509.ts';

const CSR_LENGTH_MAX = 16_384;
const CSR_PEM = /^-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/;

/** What counts of a CSR. The names in it do not: they are not even kept. */
export interface VerifiedCsr {
  readonly publicKey: KeyObject;
  readonly kind: KeyKind;
  /** Hex. */
  readonly spkiSha256: string;
}

/**
 * A CSR in PEM without any name, for a key of `generatePrivateKey`: a proof that the sender holds it.
 * @throws IdentityError `bad-key`
 */
export async function createCsr(privateKeyPem: string): Promise<string> {
  const { algorithm, privateKey, publicKey } = await importSigningKeys(privateKeyPem);
  const csr = await Pkcs10CertificateRequestGenerator.create({
    keys: { privateKey, publicKey },
    signingAlgorithm: algorithm,
  });
  return csr.toString('pem');
}

/**
 * Reads a CSR from an untrusted sender and checks its signature and its key's kind.
 * @throws IdentityError `bad-csr`
 */
export async function verifyCsr(pem: string): Promise<VerifiedCsr> {
  const body = pem.length <= CSR_LENGTH_MAX ? CSR_PEM.exec(pem)?.[1] : undefined;
  if (body === undefined) throw new IdentityError('bad-csr', `not one CSR in PEM of at most ${CSR_LENGTH_MAX} bytes`);
  const publicKey = await provenKey(Buffer.from(body, 'base64'));
  const kind = keyKindOf(publicKey);
  if (kind === undefined) throw new IdentityError('bad-csr', `its key is of another kind than ${KEY_KINDS.join(', ')}`);
  return { publicKey, kind, spkiSha256: spkiSha256(publicKey) };
}

async function provenKey(der: Buffer): Promise<KeyObject> {
  let proven: boolean;
  let publicKey: KeyObject;
  try {
    const csr = new Pkcs10CertificateRequest(der);
    publicKey = createPublicKey({ key: Buffer.from(csr.publicKey.rawData), format: 'der', type: 'spki' });
    proven = await csr.verify();
  } catch (error) {
    // The parser throws whatever it meets, a stack overflow on deep nesting included.
    throw new IdentityError('bad-csr', 'the CSR cannot be read', { cause: error });
  }
  if (!proven) throw new IdentityError('bad-csr', "the CSR's signature does not fit its key");
  return publicKey;
}
