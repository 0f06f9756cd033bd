import { createPrivateKey, sign, verify, X509Certificate as NodeCertificate, type KeyObject } from 'node:crypto';
import { DER_TAG, derElement, derInteger, derTime, readDer } from './der.ts';
import { IdentityError } from './identity-error.ts';
import { keyKindOf, type KeyKind } from './keys.ts';
import type { MeshCa } from './mesh-ca.ts';
import { SubjectKeyIdentifierExtension, X509Certificate } from './x509.ts';

/**
 * The list of a mesh's revoked certificates, signed by its CA. Written and read by hand, because that is little, and at
 * once: @peculiar/x509 compares every entry with every other, and WebCrypto is asynchronous.
 */

/** charon takes it as one value of a VICI message, which has 65,535 bytes. */
export const CRL_BYTES_MAX = 64_000;
/** An entry has up to 39 bytes. */
export const CRL_ENTRIES_MAX = 1500;

/** A node whose clock is behind by this much can still use a list made just now; charon ignores one of the future. */
export const CLOCK_SKEW_MS = 3_600_000;

/** How the key of a CA signs: the hash, and the algorithm's identifier in DER. */
const SIGNING: Readonly<Record<KeyKind, { readonly hash: string; readonly algorithm: Buffer }>> = {
  'ecdsa-p256': { hash: 'sha256', algorithm: Buffer.from('300a06082a8648ce3d040302', 'hex') },
  'ecdsa-p384': { hash: 'sha384', algorithm: Buffer.from('300a06082a8648ce3d040303', 'hex') },
  'rsa-2048': { hash: 'sha256', algorithm: Buffer.from('300d06092a864886f70d01010b0500', 'hex') },
  'rsa-3072': { hash: 'sha256', algorithm: Buffer.from('300d06092a864886f70d01010b0500', 'hex') },
};

const OID = {
  authorityKeyIdentifier: Buffer.from('0603551d23', 'hex'),
  crlNumber: Buffer.from('0603551d14', 'hex'),
} as const;

export interface CrlContent {
  /** Rises with each list; charon keeps the one with the highest. */
  readonly number: number;
  /** Time of issue, ms since the epoch; valid from an hour before. */
  readonly nowMs: number;
  /** When the next one is due. charon goes by an older one as well, but for what it does not list. */
  readonly nextUpdateMs: number;
  /** At most {@link CRL_ENTRIES_MAX}. */
  readonly entries: readonly CrlEntry[];
}

export interface CrlEntry {
  /** Serial number, hex. */
  readonly serial: string;
  /** Ms since the epoch. */
  readonly revokedAtMs: number;
}

/** What counts of a list that was checked. */
export interface VerifiedCrl {
  readonly number: number;
  readonly der: Uint8Array;
}

/**
 * The list in DER.
 * @throws IdentityError `bad-key` for a CA whose key cannot sign
 */
export function issueCrl(ca: MeshCa, { number, nowMs, nextUpdateMs, entries }: CrlContent): Uint8Array {
  const issuer = issuerOf(ca.certificatePem);
  const content = derElement(
    DER_TAG.sequence,
    derInteger('1'),
    issuer.signing.algorithm,
    issuer.name,
    derTime(nowMs - CLOCK_SKEW_MS),
    derTime(nextUpdateMs),
    ...(entries.length === 0 ? [] : [derElement(DER_TAG.sequence, ...entries.map(entryOf))]),
    derElement(DER_TAG.context0, derElement(DER_TAG.sequence, ...extensions(issuer.keyIdentifier, number))),
  );
  const signature = sign(issuer.signing.hash, content, createPrivateKey(ca.privateKeyPem));
  return signedList(content, issuer.signing.algorithm, signature);
}

/**
 * Reads a list that comes from outside, and checks that this CA has signed it.
 * @throws IdentityError `bad-crl`
 */
export function verifyCrl(der: Uint8Array, caCertificatePem: string): VerifiedCrl {
  if (der.byteLength > CRL_BYTES_MAX) {
    throw new IdentityError('bad-crl', `the CRL has ${der.byteLength} bytes, at most ${CRL_BYTES_MAX}`);
  }
  const issuer = issuerOf(caCertificatePem);
  try {
    const content = signedContent(Buffer.from(der), issuer);
    const number = content && numberIn(content, issuer.name);
    if (number !== undefined) return { number, der };
  } catch (cause) {
    throw new IdentityError('bad-crl', 'the CRL cannot be read', { cause });
  }
  throw new IdentityError('bad-crl', "not a numbered CRL that the mesh's CA has signed");
}

/** What the issuer has signed, when `der` is just that and the signature. Nothing of it is looked at before. */
function signedContent(der: Buffer, { publicKey, signing }: Issuer): Buffer | undefined {
  const [content, , bits] = readDer(readDer(der)[0]?.content ?? Buffer.alloc(0));
  if (content === undefined || bits === undefined) return undefined;
  const signature = bits.content.subarray(1);
  const only = signedList(content.whole, signing.algorithm, signature);
  return only.equals(der) && verify(signing.hash, content.whole, publicKey, signature) ? content.content : undefined;
}

function signedList(content: Uint8Array, algorithm: Uint8Array, signature: Uint8Array): Buffer {
  const bits = derElement(DER_TAG.bitString, Buffer.of(0), signature);
  return derElement(DER_TAG.sequence, content, algorithm, bits);
}

interface Issuer {
  /** Subject of the CA, DER: byte for byte as its certificate has it. */
  readonly name: Uint8Array;
  readonly keyIdentifier: Uint8Array;
  readonly publicKey: KeyObject;
  readonly signing: (typeof SIGNING)[KeyKind];
}

function issuerOf(certificatePem: string): Issuer {
  const certificate = new X509Certificate(certificatePem);
  const { publicKey } = new NodeCertificate(certificatePem);
  const kind = keyKindOf(publicKey);
  const identifier = certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  if (kind === undefined || identifier === undefined) {
    throw new IdentityError('bad-key', 'the CA has a key of another kind, or no subject key identifier');
  }
  return {
    name: Buffer.from(certificate.subjectName.toArrayBuffer()),
    keyIdentifier: Buffer.from(identifier, 'hex'),
    publicKey,
    signing: SIGNING[kind],
  };
}

function entryOf({ serial, revokedAtMs }: CrlEntry): Buffer {
  return derElement(DER_TAG.sequence, derInteger(serial), derTime(revokedAtMs));
}

/** By the key identifier charon finds the list of an issuer. */
function extensions(keyIdentifier: Uint8Array, number: number): readonly Buffer[] {
  const authority = derElement(DER_TAG.sequence, derElement(DER_TAG.implicit0, keyIdentifier));
  return [
    derElement(DER_TAG.sequence, OID.authorityKeyIdentifier, derElement(DER_TAG.octetString, authority)),
    derElement(DER_TAG.sequence, OID.crlNumber, derElement(DER_TAG.octetString, derInteger(number.toString(16)))),
  ];
}

/** The number of a list of this issuer's. */
function numberIn(content: Buffer, issuer: Uint8Array): number | undefined {
  const fields = readDer(content);
  if (fields[2]?.whole.equals(issuer) !== true) return undefined;
  const [list] = readDer(fields.findLast(({ tag }) => tag === DER_TAG.context0)?.content ?? Buffer.alloc(0));
  for (const extension of readDer(list?.content ?? Buffer.alloc(0))) {
    const [oid, value] = readDer(extension.content);
    if (oid?.whole.equals(OID.crlNumber) !== true || value === undefined) continue;
    const number = Number(`0x${readDer(value.content)[0]?.content.toString('hex') ?? ''}`);
    return Number.isSafeInteger(number) ? number : undefined;
  }
  return undefined;
}
