import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { publicKeyOf } from './mesh.ts';
import type { Authority } from './operator-pki.ts';

const [SUBJECT, MESH] = ['C=CN, O=Local Cluster', 'seed'];

/** What the operator of a PKI of his own places on a node: files for `ike:` of agent.yaml, and when the certificate ends. */
export async function placedOn(
  folder: string,
  node: string,
  [issuing, root]: readonly [Authority, Authority],
): Promise<{ readonly files: { ca: string; certificate: string; key: string }; readonly notAfterMs: number }> {
  const issuer = { mesh: MESH, subject: SUBJECT, certificatePem: issuing.certificate, privateKeyPem: issuing.key };
  const key = await generatePrivateKey('ecdsa-p256');
  const certificate = await issueIkeCertificate(issuer, { node, publicKey: publicKeyOf(key), nowMs: Date.now() });
  const files = { ca: `${folder}/ike-ca.pem`, certificate: `${folder}/ike.pem`, key: `${folder}/ike.key` };
  await writeFile(files.ca, issuing.certificate + root.certificate);
  await writeFile(files.certificate, certificate);
  await writeFile(files.key, key, { mode: 0o600 });
  return { files, notAfterMs: Date.parse(new X509Certificate(certificate).validTo) };
}
