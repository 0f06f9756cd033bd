import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  AuthorityError,
  loadMeshCa,
  loadServerIdentity,
  renewStoredCa,
  type CaFiles,
} from '../../src/coordinator/mesh-authority.ts';
import { caPinOf, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { authority } from '../identity/operator-pki.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2030, 0, 1);
const HOSTS = ['203.0.113.10', '2001:db8::1', 'coordinator.example'];

let stateDir: string;

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'cygnet-authority-'));
});

afterEach(() => rmSync(stateDir, { recursive: true }));

const load = (mesh = 'seed'): Promise<MeshCa> =>
  loadMeshCa({ stateDir, mesh, subject: 'C=CN, O=Local Cluster', nowMs: NOW });

describe('the CA', () => {
  it('is made at the first start, and is the same ever after', async () => {
    const made = await load();
    expect(await load()).toEqual(made);
    expect(statSync(join(stateDir, 'ca.key')).mode & 0o777).toBe(0o600);
  });

  it('is not used for another mesh', async () => {
    await load();
    await expect(load('other')).rejects.toThrow(/ca\.crt is of "C=CN, O=Local Cluster, CN=seed CA"/);
  });

  it.each(['ca.key', 'ca.crt'])('is not made anew when %s was lost', async (name) => {
    await load();
    rmSync(join(stateDir, name));
    await expect(load()).rejects.toThrow(AuthorityError);
  });

  it('is the one that the nodes know, or none: a lost one is not made anew, and another one is not taken', async () => {
    const knowing = (knownPin: string): Promise<MeshCa> =>
      loadMeshCa({ stateDir, mesh: 'seed', subject: 'C=CN, O=Local Cluster', nowMs: NOW, knownPin });
    const pin = caPinOf((await load()).certificatePem);
    expect(caPinOf((await knowing(pin)).certificatePem)).toBe(pin);
    for (const name of ['ca.key', 'ca.crt']) rmSync(join(stateDir, name));
    await expect(knowing(pin)).rejects.toThrow(/that the nodes of this mesh know is missing/);
    expect(existsSync(join(stateDir, 'ca.key'))).toBe(false);
    await load();
    await expect(knowing(pin)).rejects.toThrow(/ca\.crt is another CA than the one that the nodes of this mesh know/);
  });
});

describe('a renewal of the CA', () => {
  const names = { mesh: 'seed', subject: 'C=CN, O=Local Cluster' };
  const renewAt = (nowMs: number): Promise<number> => renewStoredCa({ stateDir, ...names, nowMs });

  it('gives it ten more years, with the same key and name', async () => {
    const before = await load();
    const endMs = await renewAt(NOW + 3000 * DAY_MS);
    const after = await load();
    expect(after.privateKeyPem).toBe(before.privateKeyPem);
    const [was, is] = [before, after].map(({ certificatePem }) => new X509Certificate(certificatePem));
    expect(is!.subject).toBe(was!.subject);
    expect(is!.checkIssued(was!) && is!.verify(was!.publicKey)).toBe(true);
    expect(Date.parse(is!.validTo)).toBe(endMs);
    expect(endMs - Date.parse(was!.validTo)).toBe(3000 * DAY_MS);
  });

  it('is refused where there is none, and for the operator’s', async () => {
    await expect(renewAt(NOW)).rejects.toThrow(/ca\.key: there is no such file/);
    const ca = { certificate: '/a', key: '/b' };
    await expect(renewStoredCa({ stateDir, ...names, nowMs: NOW, ca })).rejects.toThrow(/is the operator's: renew/);
    expect(existsSync(join(stateDir, 'ca.crt'))).toBe(false);
  });
});

describe('the server certificate', () => {
  const serial = async (hosts: readonly string[], nowMs: number): Promise<string> => {
    await loadServerIdentity(stateDir, await load(), hosts, nowMs);
    return new X509Certificate(readFileSync(join(stateDir, 'server.crt'))).serialNumber;
  };

  it('carries the advertised names, and comes with the CA', async () => {
    const ca = await load();
    const identity = await loadServerIdentity(stateDir, ca, HOSTS, NOW);
    const certificate = new X509Certificate(identity.certificateChain);
    expect(certificate.checkIP('2001:db8::1')).toBeDefined();
    expect(certificate.checkHost('coordinator.example')).toBeDefined();
    expect(identity.certificateChain.endsWith(ca.certificatePem)).toBe(true);
    expect(statSync(join(stateDir, 'server.key')).mode & 0o777).toBe(0o600);
  });

  it('is kept for half of its life, while the names stay', async () => {
    const first = await serial(HOSTS, NOW);
    expect(await serial(HOSTS, NOW + 40 * DAY_MS)).toBe(first);
    expect(await serial(HOSTS, NOW + 50 * DAY_MS)).not.toBe(first);
  });

  it.each([
    ['a name more', [...HOSTS, 'new.example']],
    ['a name less', HOSTS.slice(1)],
    ['another name', ['203.0.113.11', ...HOSTS.slice(1)]],
  ])('is made anew for %s', async (_what, hosts) => {
    const first = await serial(HOSTS, NOW);
    expect(await serial(hosts, NOW)).not.toBe(first);
  });

  it('is made anew when its key was lost', async () => {
    const first = await serial(HOSTS, NOW);
    rmSync(join(stateDir, 'server.key'));
    expect(await serial(HOSTS, NOW)).not.toBe(first);
  });
});

describe('the operator’s CA', () => {
  async function files(): Promise<CaFiles> {
    const root = await authority({ name: 'Root', nowMs: NOW });
    const middle = await authority({ name: 'VPN CA', issuer: root, nowMs: NOW });
    const written = (name: string, text: string, mode = 0o640): string => {
      const path = join(stateDir, name);
      writeFileSync(path, text, { mode });
      return path;
    };
    return {
      certificate: written('mesh-ca.pem', middle.certificate),
      key: written('mesh-ca.key', middle.key),
      chain: written('root.pem', root.certificate),
    };
  }
  const loadFrom = (ca: CaFiles): Promise<MeshCa> =>
    loadMeshCa({ stateDir, mesh: 'seed', subject: 'C=CN, O=Local Cluster', nowMs: NOW, ca });

  it('is read from its files, and none is made', async () => {
    const ca = await loadFrom(await files());
    expect(ca).toMatchObject({ mesh: 'seed', chainPem: expect.stringContaining('BEGIN CERTIFICATE') as string });
    expect(existsSync(join(stateDir, 'ca.key'))).toBe(false);
    const { certificateChain } = await loadServerIdentity(stateDir, ca, HOSTS, NOW);
    expect(certificateChain).toContain(ca.certificatePem.trim());
  });

  it('does not take the place of one that nodes have enrolled with', async () => {
    const ca = await files();
    await load();
    await expect(loadFrom(ca)).rejects.toThrow(/this mesh has a CA already/);
    const options = { stateDir: join(stateDir, 'new'), mesh: 'seed', subject: 'C=CN, O=Local Cluster', nowMs: NOW, ca };
    await expect(loadMeshCa({ ...options, knownPin: 'that of another' })).rejects.toThrow(/mesh-ca\.pem is another CA/);
  });

  it('is refused with the file’s name when it is missing, open to everybody, or cannot be used', async () => {
    const ca = await files();
    await expect(loadFrom({ ...ca, key: '/nowhere/ca.key' })).rejects.toThrow('/nowhere/ca.key: there is no such file');
    chmodSync(ca.key, 0o644);
    await expect(loadFrom(ca)).rejects.toThrow(`${ca.key}: everybody can read the CA's key`);
    chmodSync(ca.key, 0o640);
    const { chain: _left, ...withoutChain } = ca;
    await expect(loadFrom(withoutChain)).rejects.toThrow(/mesh-ca\.pem: .*is no root/);
  });
});
