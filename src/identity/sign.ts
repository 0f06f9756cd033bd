import type { KeyObject } from 'node:crypto';
import { importSigningKeys } from './keys.ts';
import type { Rdn } from './names.ts';
import {
  AuthorityKeyIdentifierExtension,
  Name,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  type Extension,
} from './x509.ts';

/**
 * Validity begins this long before the time of issue. A new certificate is shown at once to peers whose clocks may be
 * behind the coordinator's by as much, and to them it must not be one of the future.
 */
export const CLOCK_SKEW_MS = 3_600_000;

/** Who signs. `keyIdentifier`, hex: as its certificate has it; the usual hash of its key by default. */
export interface Issuer {
  readonly name: Name;
  readonly keyIdentifier?: string;
}

/** What a certificate says, but for its serial number (random), its key identifiers and the signature. */
export interface CertificateContent {
  readonly subject: readonly Rdn[];
  readonly issuer: Issuer;
  readonly publicKey: KeyObject;
  /** Time of issue, ms since the epoch; validity begins {@link CLOCK_SKEW_MS} before. */
  readonly nowMs: number;
  /** End of validity, ms since the epoch. */
  readonly notAfterMs: number;
  readonly extensions: readonly Extension[];
}

/** The certificate in PEM, signed with the issuer's key (PKCS#8). */
export async function signCertificate(content: CertificateContent, issuerKeyPem: string): Promise<string> {
  const issuer = await importSigningKeys(issuerKeyPem);
  const publicKey = new PublicKey(content.publicKey.export({ type: 'spki', format: 'der' }));
  const certificate = await X509CertificateGenerator.create({
    subject: encodableDn(content.subject),
    issuer: content.issuer.name,
    publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: issuer.algorithm,
    notBefore: new Date(content.nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(content.notAfterMs),
    extensions: [
      ...content.extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      content.issuer.keyIdentifier === undefined
        ? await AuthorityKeyIdentifierExtension.create(issuer.publicKey)
        : new AuthorityKeyIdentifierExtension(content.issuer.keyIdentifier),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** One RDN each, in the order given, as PrintableString: the encoding that strongSwan gives the same text. */
export function encodableDn(dn: readonly Rdn[]): Name {
  return new Name(dn.map(({ type, value }) => ({ [type]: [{ printableString: value }] })));
}
