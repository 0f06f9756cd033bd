import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PlacedIkeFiles, type PlacedFiles } from '../../src/agent/placed-ike.ts';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { mediationIdentity, tunnelIdentity } from '../../src/identity/names.ts';
import { MESH, meshCa, publicKeyOf, SUBJECT } from '../identity/mesh.ts';
import { authority, type Authority } from '../identity/operator-pki.ts';
import { temporaryFolder } from './temporary-folder.ts';

const DAY_MS = 86_400_000;
const LOCAL_IDS = [mediationIdentity(SUBJECT, 'edge1'), tunnelIdentity(MESH, 'edge1')];

let root: Authority;
let issuing: Authority;
let key: string;
let files: Required<PlacedFiles>;
let nowMs: number;
let localIds: readonly string[];

beforeAll(async () => {
  root = await authority({ name: 'Root' });
  issuing = await authority({ name: 'VPN CA', issuer: root });
  key = await generatePrivateKey('ecdsa-p256');
});
beforeEach(async () => {
  const folder = temporaryFolder();
  files = { ca: join(folder, 'ca.pem'), certificate: join(folder, 'own.pem'), key: join(folder, 'own.key') };
  nowMs = Date.now();
  localIds = LOCAL_IDS;
  put('ca', issuing.certificate + root.certificate);
  put('certificate', await certificate());
  put('key', key);
});

function put(field: keyof PlacedFiles, text: string, mode = 0o600): void {
  writeFileSync(files[field], text);
  chmodSync(files[field], mode);
}

interface Change {
  readonly node?: string;
  readonly mesh?: string;
  readonly subject?: string;
  readonly by?: Authority;
  readonly issuedAtMs?: number;
}

/** As the operator's PKI would issue it. */
function certificate({
  node = 'edge1',
  mesh = MESH,
  subject = SUBJECT,
  by = issuing,
  ...rest
}: Change = {}): Promise<string> {
  const ca: MeshCa = { mesh, subject, certificatePem: by.certificate, privateKeyPem: by.key };
  return issueIkeCertificate(ca, { node, publicKey: publicKeyOf(key), nowMs: rest.issuedAtMs ?? Date.now() });
}

const opened = (named: PlacedFiles = files): PlacedIkeFiles =>
  new PlacedIkeFiles({ files: named, clock: { nowMs: () => nowMs }, localIds: () => localIds });

describe('certificates that the operator has placed', () => {
  it('are used when they are this node’s', () => {
    const placed = opened();
    expect(placed.own).toEqual({ notAfterMs: null });
    expect(placed.look()).toBe(true);
    expect(placed.own).toEqual({ notAfterMs: placed.current?.own?.notAfterMs });
    expect(placed.current).toEqual({
      issuer: new X509Certificate(issuing.certificate).raw,
      above: [new X509Certificate(root.certificate).raw],
      own: expect.objectContaining({
        privateKey: createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
      }) as unknown,
    });
    expect(placed.problems).toEqual([]);
    expect(placed.look()).toBe(false);
  });

  it('may be those of others only', () => {
    const placed = opened({ ca: files.ca });
    expect(placed.look()).toBe(true);
    expect(placed.own).toBeUndefined();
    expect(placed.current?.own).toBeUndefined();
  });

  it('wait until it is known who this node is', () => {
    localIds = [];
    const placed = opened();
    expect(placed.look()).toBe(false);
    localIds = LOCAL_IDS;
    expect(placed.look()).toBe(true);
  });

  it('are taken when they are replaced, and while they do not fit, those of before stay', async () => {
    const placed = opened();
    placed.look();
    const before = placed.current;
    key = await generatePrivateKey('ecdsa-p256');
    put('certificate', await certificate());
    expect(placed.look()).toBe(false);
    expect(placed.problems).toEqual([expect.stringMatching(/^ike\.key: .*own\.key: it is not that of/)]);
    expect(placed.current).toBe(before);
    put('key', key);
    expect(placed.look()).toBe(true);
    expect(placed.problems).toEqual([]);
    expect(placed.current?.own?.certificate).not.toEqual(before?.own?.certificate);
  });

  it('that are put back are taken as well', () => {
    const placed = opened();
    placed.look();
    rmSync(files.ca);
    placed.look();
    expect(placed.problems).toEqual([expect.stringMatching(/ca\.pem: there is no such file; what was there before/)]);
    put('ca', issuing.certificate + root.certificate);
    expect(placed.look()).toBe(true);
  });

  it('are told of two weeks before they end, for nobody renews them', () => {
    const placed = opened();
    placed.look();
    const notAfterMs = placed.status[0]!.notAfterMs;
    nowMs = notAfterMs - 15 * DAY_MS;
    expect(placed.problems).toEqual([]);
    nowMs = notAfterMs - 13 * DAY_MS;
    expect(placed.problems).toEqual([expect.stringMatching(/^ike\.certificate: .*own\.pem: it is valid until/)]);
  });
});

describe('a placed certificate that peers may refuse is told of, and', () => {
  it.each<[string, RegExp, () => unknown]>([
    [
      'one for another node',
      /its subject is ".*CN=remote", and must be "C=CN, O=Local Cluster, CN=edge1"/,
      async () => put('certificate', await certificate({ node: 'remote' })),
    ],
    [
      'one with another subject',
      /its subject is "O=Others, CN=edge1"/,
      async () => put('certificate', await certificate({ subject: 'O=Others' })),
    ],
    [
      'one without the name for tunnels',
      /it has no dNSName "edge1\.mesh\.example"/,
      async () => put('certificate', await certificate({ mesh: 'other.example' })),
    ],
    [
      'one that has ended',
      /ike\.certificate: .*CN=edge1" is valid from/,
      async () => put('certificate', await certificate({ issuedAtMs: nowMs - 40 * DAY_MS })),
    ],
    [
      'one of a CA that has ended',
      /ike\.ca: .*"O=Their Company, CN=VPN CA" is valid from/,
      () => (nowMs += 20 * 365 * DAY_MS),
    ],
  ])('used as long as nothing better was there: %s', async (_what, reason, spoil) => {
    await spoil();
    const placed = opened();
    expect(placed.look()).toBe(true);
    expect(placed.current?.own?.certificate).toEqual(new X509Certificate(readFileSync(files.certificate)).raw);
    expect(placed.problems).toEqual([expect.stringMatching(reason)]);
    expect(placed.problems[0]).toMatch(/; it is used all the same$/);
    expect(placed.look()).toBe(false);
  });

  it('does not take the place of one that is right', async () => {
    const placed = opened();
    placed.look();
    const before = placed.current;
    put('certificate', await certificate({ mesh: 'other.example' }));
    expect(placed.look()).toBe(false);
    expect(placed.current).toBe(before);
    expect(placed.problems).toEqual([expect.stringMatching(/has no dNSName .*; what was there before stays in use$/)]);
  });

  it('gives way to what is put in its place, and stays when that cannot be used', async () => {
    put('certificate', await certificate({ mesh: 'other.example' }));
    const placed = opened();
    placed.look();
    const before = placed.current;
    put('certificate', 'hello');
    expect(placed.look()).toBe(false);
    expect(placed.current).toBe(before);
    expect(placed.problems).toEqual([expect.stringMatching(/cannot be read.*; what was there before stays in use$/)]);
    put('certificate', await certificate());
    expect(placed.look()).toBe(true);
    expect(placed.problems).toEqual([]);
  });

  it('is taken when its time has come', async () => {
    const placed = opened();
    placed.look();
    put('certificate', await certificate({ issuedAtMs: nowMs + DAY_MS }));
    expect(placed.look()).toBe(false);
    nowMs += 2 * DAY_MS;
    expect(placed.look()).toBe(true);
    expect(placed.problems).toEqual([]);
  });
});

describe('a placed file is refused, and named', () => {
  it.each<[string, RegExp, () => unknown]>([
    ['a missing one', /^ike\.key: .*own\.key: there is no such file/, () => rmSync(files.key)],
    ['a folder', /^ike\.ca: .*: it is no file/, () => (files = { ...files, ca: '/tmp' })],
    ['a device', /^ike\.ca: .*: it is no file/, () => (rmSync(files.ca), symlinkSync('/dev/zero', files.ca))],
    ['one too large', /^ike\.ca: .*: more than 262144 bytes/, () => put('ca', 'x'.repeat(300_000))],
    ['a key that others can read', /^ike\.key: .*: others can read it: chmod 0600/, () => put('key', key, 0o640)],
    ['no key', /^ike\.key: .*: it cannot be read: a private key in PEM/, () => put('key', 'hello')],
    [
      'another key',
      /^ike\.key: .*: it is not that of ike\.certificate/,
      async () => put('key', await generatePrivateKey('ecdsa-p256')),
    ],
    ['no certificate', /^ike\.certificate: .*: it cannot be read/, () => put('certificate', 'hello')],
    [
      'one of another CA of that root',
      /the first CA of ike\.ca has not issued it/,
      async () => put('certificate', await certificate({ by: await authority({ name: 'Web CA', issuer: root }) })),
    ],
    ['an empty CA file', /^ike\.ca: .*: there is no certificate/, () => put('ca', '')],
    [
      'a CA without its root',
      /^ike\.ca: .*"O=Their Company, CN=VPN CA" is no root/,
      () => put('ca', issuing.certificate),
    ],
    [
      'a CA that is none',
      /^ike\.ca: .* is not a CA/,
      async () => put('ca', (await authority({ name: 'A', isCa: false })).certificate),
    ],
  ])('%s', async (_what, reason, spoil) => {
    await spoil();
    const placed = opened();
    expect(placed.look()).toBe(false);
    expect(placed.current).toBeUndefined();
    expect(placed.problems).toEqual([expect.stringMatching(reason)]);
  });

  it('also when it is the mesh’s own CA that has issued it', async () => {
    const mesh = await meshCa();
    put('certificate', await certificate({ by: { certificate: mesh.certificatePem, key: mesh.privateKeyPem } }));
    const placed = opened();
    placed.look();
    expect(placed.problems).toEqual([expect.stringMatching(/has not issued it; nothing is loaded/)]);
  });
});
