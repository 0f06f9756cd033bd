import { generatePrivateKey, type KeyKind } from '../../src/identity/keys.ts';
import type { OperatorCa } from '../../src/identity/operator-ca.ts';
import { signCertificate } from '../../src/identity/sign.ts';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509Certificate,
} from '../../src/identity/x509.ts';
import { MESH, publicKeyOf, SUBJECT } from './mesh.ts';

const DAY_MS = 86_400_000;

export interface AuthorityOptions {
  readonly name: string;
  /** By whom; by itself when left out. */
  readonly issuer?: Authority;
  readonly kind?: KeyKind;
  readonly isCa?: boolean;
  readonly pathLength?: number;
  readonly usages?: number;
  readonly nowMs?: number;
  readonly days?: number;
}

export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

/** A CA as another PKI makes them: any name, in UTF-8, whatever else is asked for. */
export async function authority(options: AuthorityOptions): Promise<Authority> {
  const { name, issuer, isCa = true, pathLength, nowMs = Date.now(), days = 100, kind = 'ecdsa-p256' } = options;
  const key = await generatePrivateKey(kind);
  const issuing = issuer && new X509Certificate(issuer.certificate);
  const keyIdentifier = issuing?.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  // signCertificate writes a node's kind of name; the subject of a CA of others has other RDNs and other strings.
  const subject = [{ type: 'O', value: 'Their Company' } as const, { type: 'CN', value: name } as const];
  const certificate = await signCertificate(
    {
      subject,
      issuer: {
        name:
          issuing?.subjectName ??
          new Name(subject.map(({ type, value }) => ({ [type]: [{ printableString: value }] }))),
        ...(keyIdentifier !== undefined && { keyIdentifier }),
      },
      publicKey: publicKeyOf(key),
      nowMs,
      notAfterMs: nowMs + days * DAY_MS,
      extensions: [
        new BasicConstraintsExtension(isCa, pathLength, true),
        new KeyUsagesExtension(options.usages ?? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    issuer?.key ?? key,
  );
  return { certificate, key };
}

/** An intermediate CA, as the operator hands it over. */
export function handedOver({ certificate, key }: Authority, ...chain: readonly Authority[]): OperatorCa {
  const chainPem = chain.map((each) => each.certificate).join('');
  return { mesh: MESH, subject: SUBJECT, certificatePem: certificate, privateKeyPem: key, chainPem };
}
