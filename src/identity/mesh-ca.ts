import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';
import { generatePrivateKey } from './keys.ts';
import { meshDn, type Rdn } from './names.ts';
import { encodableDn, signCertificate } from './sign.ts';
import { spkiSha256 } from './spki.ts';
import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension } from './x509.ts';

/** The authority of one mesh. Who holds the private key can be any node of it. */
export interface MeshCa {
  /** Domain name of the mesh, `mesh.example`. */
  readonly mesh: string;
  /** The operator's subject, `C=CN, O=Local Cluster`: what the names of all nodes begin with. */
  readonly subject: string;
  readonly certificatePem: string;
  /** PKCS#8. */
  readonly privateKeyPem: string;
  /** PEM: the CAs above it, up to the root. Absent when it is a root, as the mesh's own is. */
  readonly chainPem?: string;
}

const DAY_MS = 86_400_000;
const CA_VALIDITY_DAYS = 3652;

export interface MeshCaOptions {
  readonly mesh: string;
  readonly subject: string;
  /** Wall-clock time, ms since the epoch. */
  readonly nowMs: number;
}

/**
 * Makes a mesh's CA: ECDSA P-256, ten years, signs end entities and CRLs only.
 * @throws IdentityError `bad-name`
 */
export async function createMeshCa({ mesh, subject, nowMs }: MeshCaOptions): Promise<MeshCa> {
  const privateKeyPem = await generatePrivateKey('ecdsa-p256');
  return { mesh, subject, certificatePem: await signOwn({ mesh, subject }, privateKeyPem, nowMs), privateKeyPem };
}

function signOwn(ca: Pick<MeshCa, 'mesh' | 'subject'>, privateKeyPem: string, nowMs: number): Promise<string> {
  const name = caDn(ca);
  return signCertificate(
    {
      subject: name,
      issuer: { name: encodableDn(name) },
      publicKey: createPublicKey(createPrivateKey(privateKeyPem)),
      nowMs,
      notAfterMs: nowMs + CA_VALIDITY_DAYS * DAY_MS,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    },
    privateKeyPem,
  );
}

/** The same CA, with the same key, for another ten years from now on. */
export async function renewMeshCa(ca: MeshCa, nowMs: number): Promise<MeshCa> {
  return { ...ca, certificatePem: await signOwn(ca, ca.privateKeyPem, nowMs) };
}

/** The name of a mesh's own CA. */
export function caDn({ mesh, subject }: Pick<MeshCa, 'mesh' | 'subject'>): readonly Rdn[] {
  return meshDn(subject, mesh, 'CA');
}

/** What nodes are told of it, in PEM. */
export function authorityOf({ certificatePem: ca, chainPem: chain }: MeshCa): { ca: string; chain?: string } {
  return { ca, ...(chain !== undefined && { chain }) };
}

/** The pin of a CA, which goes into tokens: hex SHA-256 of its public key. */
export function caPinOf(certificatePem: string): string {
  return spkiSha256(new X509Certificate(certificatePem).publicKey);
}
