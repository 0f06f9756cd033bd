import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { issueCrl, verifyCrl } from '../../src/identity/crl.ts';
import { checkOperatorCa, type OperatorCa } from '../../src/identity/operator-ca.ts';
import { KeyUsageFlags } from '../../src/identity/x509.ts';
import { somePublicKey } from './mesh.ts';
import { authority, handedOver, type Authority } from './operator-pki.ts';

const NOW = Date.now();

let root: Authority;
let middle: Authority;

beforeAll(async () => {
  root = await authority({ name: 'Root', kind: 'rsa-2048' });
  middle = await authority({ name: 'VPN CA 2', issuer: root, pathLength: 0 });
});

describe('a CA of the operator’s', () => {
  it('issues certificates and CRLs that are its own, name and key identifier included', async () => {
    const ca = checkOperatorCa(handedOver(middle, root), NOW);
    const pem = await issueIkeCertificate(ca, { node: 'edge1', publicKey: await somePublicKey(), nowMs: NOW });
    const [leaf, issuer] = [new X509Certificate(pem), new X509Certificate(middle.certificate)];
    expect(leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey)).toBe(true);
    expect(leaf.issuer).toBe(issuer.subject);
    const crl = issueCrl(ca, { number: 5, nowMs: NOW, nextUpdateMs: NOW + 1000, entries: [] });
    expect(verifyCrl(crl, ca.certificatePem).number).toBe(5);
  });

  it('may be a root itself', () => {
    expect(checkOperatorCa(handedOver(root), NOW)).not.toHaveProperty('chainPem');
  });

  it.each<[string, () => Promise<OperatorCa>, RegExp]>([
    ['whose key is another', async () => ({ ...handedOver(middle, root), privateKeyPem: root.key }), /not that of/],
    ['whose key cannot be read', async () => ({ ...handedOver(middle, root), privateKeyPem: 'x' }), /cannot be read/],
    ['without its root', async () => handedOver(middle), /no root/],
    ['with another root', async () => handedOver(middle, await authority({ name: 'Root' })), /has not issued/],
    [
      'that is none',
      async () => handedOver(await authority({ name: 'x', issuer: root, isCa: false }), root),
      /is not a CA/,
    ],
    [
      'that may sign no CRL',
      async () => handedOver(await authority({ name: 'x', issuer: root, usages: KeyUsageFlags.keyCertSign }), root),
      /may not sign certificates and CRLs/,
    ],
    [
      'below one that allows none below it',
      async () => {
        const lower = await authority({ name: 'x', issuer: middle });
        return handedOver(lower, middle, root);
      },
      /allows 0 CAs below it, and there are 1/,
    ],
    [
      'that has expired',
      async () => handedOver(await authority({ name: 'x', issuer: root, nowMs: NOW - 1e10, days: 1 }), root),
      /is valid from/,
    ],
    [
      'that has a node’s name',
      async () => ({
        ...handedOver(await authority({ name: 'edge1', issuer: root }), root),
        subject: 'O=Their Company',
      }),
      /one that a node could have/,
    ],
    ['that is no certificate', async () => ({ ...handedOver(middle, root), certificatePem: 'x' }), /PEM is expected/],
  ])('%s is refused', async (_what, make, message) => {
    const ca = await make();
    expect(() => checkOperatorCa(ca, NOW)).toThrow(
      expect.objectContaining({ name: 'IdentityError', code: 'bad-ca', message: expect.stringMatching(message) }),
    );
  });
});
