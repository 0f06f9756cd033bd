import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { KEY_KINDS, generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { mediationIdentity, tunnelIdentity } from '../../src/identity/names.ts';
import { MESH, SUBJECT, meshCa, publicKeyOf } from '../identity/mesh.ts';

/** strongSwan's own certificate tool: the library that charon compares identities with. */
const PKI = '/usr/bin/pki';
const run = promisify(execFile);

async function pki(...args: readonly string[]): Promise<string> {
  return (await run(PKI, [...args])).stdout;
}

describe.skipIf(!existsSync(PKI))("strongSwan's pki", () => {
  let folder: string;
  let ca: MeshCa;
  let certificate: string;

  async function file(name: string, text: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cygnet-identity-'));
    ca = await meshCa();
    const publicKey = publicKeyOf(await generatePrivateKey('ecdsa-p256'));
    certificate = await issueIkeCertificate(ca, { node: 'edge1', publicKey, nowMs: Date.now() });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('prints both identities as Cygnet writes them', async () => {
    const printed = await pki('--print', '--in', await file('edge1.pem', certificate));
    expect(printed).toContain(`subject:  "${mediationIdentity(SUBJECT, 'edge1')}"`);
    expect(printed).toMatch(new RegExp(`altNames: +${tunnelIdentity(MESH, 'edge1')}\n`));
  });

  it.each([SUBJECT, 'C=DE, ST=Berlin, L=Berlin-Mitte, O=Example (No. 1) Ltd., OU=a  b'])(
    'encodes the identity under "%s" byte for byte as the certificate does',
    async (subject) => {
      const key = await generatePrivateKey('ecdsa-p256');
      const issuance = { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() };
      const ours = await issueIkeCertificate({ ...ca, subject }, issuance);
      const keyPath = await file('key.pem', key);
      const dn = mediationIdentity(subject, 'edge1');
      const theirs = await pki('--self', '--in', keyPath, '--type', 'ecdsa', '--dn', dn, '--outform', 'pem');
      const encoded = async (name: string, pem: string) =>
        pki('--dn', '--format', 'hex', '--in', await file(name, pem));
      expect(await encoded('ours.pem', ours)).toBe(await encoded('theirs.pem', theirs));
    },
  );

  it("trusts a node's certificate under the mesh CA", async () => {
    const [leaf, root] = [await file('edge1.pem', certificate), await file('ca.pem', ca.certificatePem)];
    expect(await pki('--verify', '--in', leaf, '--cacert', root)).toContain('certificate trusted, lifetimes valid');
  });

  it.each(KEY_KINDS)('reads a private key of kind %s, and its CSR', async (kind) => {
    const key = await generatePrivateKey(kind);
    const keyPath = await file(`${kind}.pem`, key);
    expect(await pki('--print', '--type', 'priv', '--in', keyPath)).toMatch(/privkey: +(ECDSA|RSA) \d+ bits/);
    const csrPath = await file(`${kind}.csr`, await createCsr(key));
    const ofCsr = await pki('--pub', '--type', 'pkcs10', '--in', csrPath);
    expect(ofCsr).toBe(await pki('--pub', '--type', 'priv', '--in', keyPath));
  });
});
