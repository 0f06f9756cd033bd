import { createPrivateKey, X509Certificate as NodeCertificate, type KeyObject } from 'node:crypto';
import { IdentityError } from './identity-error.ts';
import { KEY_KINDS, keyKindOf } from './keys.ts';
import type { MeshCa } from './mesh-ca.ts';
import { formatDn, parseSubject } from './names.ts';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
} from './x509.ts';

/** CAs between the mesh's and the root, the root included. */
const CHAIN_MAX = 8;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** A CA that the operator has made in a PKI of his own, to be the mesh's. */
export interface OperatorCa {
  readonly mesh: string;
  readonly subject: string;
  readonly certificatePem: string;
  /** PKCS#8, not encrypted. */
  readonly privateKeyPem: string;
  /** PEM: the CA that has issued it, and so on up to the root; empty when it is a root itself. */
  readonly chainPem: string;
}

/**
 * Checks that a CA can be a mesh's: that it may sign certificates and CRLs, its key fits, no node can have its name, it is
 * valid now, and its chain leads to a root, which charon wants to see.
 * @throws IdentityError `bad-ca`
 */
export function checkOperatorCa(ca: OperatorCa, nowMs: number): MeshCa {
  const own = readCertificate(ca.certificatePem, 'its certificate');
  checkKey(own.node, ca.privateKeyPem);
  checkName(own.node, ca.subject);
  if (own.x509.getExtension(SubjectKeyIdentifierExtension) === null) {
    refuse('it has no subject key identifier, by which charon finds the CRL');
  }
  const chain = certificatesIn(ca.chainPem).map((pem, index) =>
    readCertificate(pem, `certificate ${index + 1} of the chain`),
  );
  checkChain([own, ...chain]);
  const invalid = invalidIn([own.node, ...chain.map(({ node }) => node)], nowMs);
  if (invalid !== undefined) refuse(invalid);
  const { mesh, subject, certificatePem, privateKeyPem } = ca;
  const chainPem = chain.map(({ x509 }) => `${x509.toString('pem')}\n`).join('');
  return { mesh, subject, certificatePem, privateKeyPem, ...(chainPem !== '' && { chainPem }) };
}

/**
 * Reads a CA (PEM) and those above it, each followed by its issuer, and checks that they lead to a root. Whether they are valid
 * now is for {@link invalidIn} to say.
 * @throws IdentityError `bad-ca`
 */
export function readCaChain(pem: string): readonly NodeCertificate[] {
  const chain = certificatesIn(pem).map((each, index) => readCertificate(each, `certificate ${index + 1}`));
  checkChain(chain);
  return chain.map(({ node }) => node);
}

/** Says which of the certificates is not valid at this time; undefined when all are. */
export function invalidIn(certificates: readonly NodeCertificate[], nowMs: number): string | undefined {
  const invalid = certificates.find(
    ({ validFrom, validTo }) => Date.parse(validFrom) > nowMs || Date.parse(validTo) <= nowMs,
  );
  if (invalid === undefined) return undefined;
  const { subject, validFrom, validTo } = invalid;
  return `"${subject.split('\n').join(', ')}" is valid from ${validFrom} to ${validTo}`;
}

/** The certificates of a PEM text, each in PEM. */
export function certificatesIn(pem: string): readonly string[] {
  return [...pem.matchAll(PEM_CERTIFICATE)].map(([certificate]) => certificate);
}

interface Certificate {
  readonly node: NodeCertificate;
  readonly x509: X509Certificate;
}

function checkKey(certificate: NodeCertificate, privateKeyPem: string): void {
  let key: KeyObject;
  try {
    key = createPrivateKey(privateKeyPem);
  } catch (cause) {
    throw new IdentityError('bad-ca', 'its key cannot be read: PKCS#8 in PEM, not encrypted, is expected', { cause });
  }
  if (keyKindOf(key) === undefined) refuse(`its key is of another kind than ${KEY_KINDS.join(', ')}`);
  if (!certificate.checkPrivateKey(key)) refuse('the key is not that of the certificate');
}

/** Mediators let in whoever has the subject and one more CN. */
function checkName(certificate: NodeCertificate, subject: string): void {
  const name = certificate.subject.split('\n').join(', ');
  const prefix = `${formatDn(parseSubject(subject))}, CN=`;
  if (name.startsWith(prefix) && /^[a-z0-9-]+$/.test(name.slice(prefix.length))) {
    refuse(`its name, "${name}", is one that a node could have: give the CA another, or the mesh another subject`);
  }
}

/** From the mesh's CA up; `depth` CAs stand below each. */
function checkChain(chain: readonly Certificate[]): void {
  if (chain.length > CHAIN_MAX) refuse(`its chain has more than ${CHAIN_MAX - 1} certificates`);
  for (const [depth, { node, x509 }] of chain.entries()) {
    const name = node.subject.split('\n').join(', ');
    const constraints = x509.getExtension(BasicConstraintsExtension);
    if (constraints?.ca !== true) refuse(`"${name}" is not a CA`);
    if (constraints?.pathLength !== undefined && constraints.pathLength < depth) {
      refuse(`"${name}" allows ${constraints.pathLength} CAs below it, and there are ${depth}`);
    }
    const usages = x509.getExtension(KeyUsagesExtension)?.usages;
    const wanted = depth === 0 ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.keyCertSign;
    if (usages !== undefined && (usages & wanted) !== wanted) {
      refuse(`"${name}" may not sign certificates${depth === 0 ? ' and CRLs' : ''} (key usage)`);
    }
    const issuer = chain[depth + 1]?.node ?? node;
    if (!node.checkIssued(issuer) || !node.verify(issuer.publicKey)) {
      const what = depth + 1 < chain.length ? `the next of the chain has not issued "${name}"` : `"${name}" is no root`;
      refuse(`${what}: the chain must lead to a root, each certificate followed by its issuer's`);
    }
  }
}

function readCertificate(pem: string, what: string): Certificate {
  try {
    return { node: new NodeCertificate(pem), x509: new X509Certificate(pem) };
  } catch (cause) {
    throw new IdentityError('bad-ca', `${what} cannot be read: PEM is expected`, { cause });
  }
}

function refuse(message: string): never {
  throw new IdentityError('bad-ca', message);
}
