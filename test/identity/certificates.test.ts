import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  issueChannelCertificate,
  issueIkeCertificate,
  issueServerCertificate,
} from '../../src/identity/certificates.ts';
import { caPinOf, createMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { spkiSha256 } from '../../src/identity/spki.ts';
import { MESH, SUBJECT, meshCa, somePublicKey } from './mesh.ts';

const DAY_MS = 86_400_000;
const NODE_SUBJECT = 'C=CN\nO=Local Cluster\nCN=edge1';
const nowMs = Date.parse('2026-03-01T12:00:00Z');

let ca: MeshCa;
let issuer: X509Certificate;
beforeAll(async () => {
  ca = await meshCa();
  issuer = new X509Certificate(ca.certificatePem);
});

describe('the mesh CA', () => {
  it('is a self-signed CA named after the mesh', () => {
    expect(issuer.ca).toBe(true);
    expect(issuer.verify(issuer.publicKey)).toBe(true);
    expect(issuer.subject).toBe(`C=CN\nO=Local Cluster\nCN=${MESH} CA`);
  });

  it('has its public key as its pin', () => {
    expect(caPinOf(ca.certificatePem)).toBe(spkiSha256(issuer.publicKey));
  });

  it.each([{ mesh: 'no mesh' }, { subject: 'CN=x' }])('is not made for %j', async (bad) => {
    const made = createMeshCa({ mesh: MESH, subject: SUBJECT, nowMs, ...bad });
    await expect(made).rejects.toThrow(expect.objectContaining({ code: 'bad-name' }));
  });
});

describe('an issued certificate', () => {
  it('for the channel carries the subject alone, and serves TLS clients', async () => {
    const publicKey = await somePublicKey();
    const certificate = new X509Certificate(await issueChannelCertificate(ca, { node: 'edge1', publicKey, nowMs }));
    expect(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.subject).toBe(NODE_SUBJECT);
    expect(certificate.subjectAltName).toBeUndefined();
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).toBe(false);
    expect(spkiSha256(certificate.publicKey)).toBe(spkiSha256(publicKey));
  });

  it('for IKE carries both identities, and serves neither TLS clients nor servers', async () => {
    const publicKey = await somePublicKey();
    const certificate = new X509Certificate(await issueIkeCertificate(ca, { node: 'edge1', publicKey, nowMs }));
    expect(certificate.subject).toBe(NODE_SUBJECT);
    expect(certificate.subjectAltName).toBe(`DNS:edge1.${MESH}`);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.17']);
  });

  it('for the coordinator names its hosts', async () => {
    const hosts = ['203.0.113.1', '2001:db8::1', 'coordinator.example'];
    const publicKey = await somePublicKey();
    const certificate = new X509Certificate(await issueServerCertificate(ca, { hosts, publicKey, nowMs }));
    expect(certificate.checkIP('203.0.113.1')).toBe('203.0.113.1');
    expect(certificate.checkIP('2001:db8::1')).toBe('2001:db8::1');
    expect(certificate.checkHost('coordinator.example')).toBe('coordinator.example');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it.each(['203.0.113.300', 'a b', '*.example', ''])('does not name the host %j', async (host) => {
    const issued = (async () =>
      issueServerCertificate(ca, { hosts: [host], publicKey: await somePublicKey(), nowMs }))();
    await expect(issued).rejects.toThrow(expect.objectContaining({ code: 'bad-name' }));
  });

  it.each([
    ['a node’s channel', 7, issueChannelCertificate],
    ['IKE', 30, issueIkeCertificate],
  ])('for %s is valid for %i days, beginning an hour early for clocks that are behind', async (_what, days, issue) => {
    const certificate = new X509Certificate(
      await issue(ca, { node: 'edge1', publicKey: await somePublicKey(), nowMs }),
    );
    expect(Date.parse(certificate.validFrom)).toBe(nowMs - 3_600_000);
    expect(Date.parse(certificate.validTo)).toBe(nowMs + days * DAY_MS);
  });

  it('does not outlive its CA', async () => {
    const publicKey = await somePublicKey();
    const issuance = { node: 'edge1', publicKey, nowMs: Date.now(), validityDays: 5000 };
    const certificate = new X509Certificate(await issueIkeCertificate(ca, issuance));
    expect(certificate.validTo).toBe(issuer.validTo);
  });

  it('has a serial number of its own', async () => {
    const issuance = { node: 'edge1', publicKey: await somePublicKey(), nowMs };
    const [one, other] = await Promise.all([issueIkeCertificate(ca, issuance), issueIkeCertificate(ca, issuance)]);
    expect(new X509Certificate(one).serialNumber).not.toBe(new X509Certificate(other).serialNumber);
  });
});
