import { writeFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import { restoreBackup } from '../../src/coordinator/restore.ts';
import { issueChannelCertificate, issueIkeCertificate, type NodeIssuance } from '../../src/identity/certificates.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { renew } from '../../src/identity/renew.ts';
import type { CertificatePurpose } from '../../src/identity/renewal.ts';
import { parseToken } from '../../src/identity/token.ts';
import { nodeNameSchema } from '../../src/ike/connection.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';
import { knockAt, openTestServer } from './channel-fixture.ts';
import { CoreFixture } from './core-fixture.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const EDGE1 = nodeNameSchema.parse('edge1');
const REMOTE = nodeNameSchema.parse('remote');

/** PEM. */
interface Held {
  readonly key: string;
  readonly certificate: string;
}
type Holding = Readonly<Record<CertificatePurpose, Held>>;

let ca: MeshCa;
/** As it was when the backup was made, with the backup. */
let atBackup: CoreFixture;
let mesh: CoreFixture;
let server: ChannelServer;
let edge1: Holding;
let remote: Holding;
/** When all began: two hours before the backup, which is two hours old. */
let beganMs: number;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  ca = await meshCa();
  beganMs = Date.now() - 4 * HOUR_MS;
  atBackup = new CoreFixture(ca);
  atBackup.nowMs = beganMs;
  edge1 = await enrolled('edge1');
  remote = await enrolled('remote');
  atBackup.nowMs = beganMs + 2 * HOUR_MS;
  await backUp(atBackup);
  atBackup.store.close();
});
afterAll(() => atBackup[Symbol.dispose]());
beforeEach(async () => {
  mesh = new CoreFixture(ca, undefined, atBackup);
  server = await openTestServer(ca, mesh.core.channels);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await server[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

async function backUp({ core, folder }: CoreFixture): Promise<void> {
  await writeFile(join(folder, 'a-backup'), core.backup({ withKeys: false })!.stream);
}

async function enrolled(node: string): Promise<Holding> {
  const { token } = atBackup.core.tokens.issue(nodeNameSchema.parse(node), 3600);
  const keys = { channel: await newKey(), ike: await newKey() };
  const csrs = { channelCsr: await createCsr(keys.channel), ikeCsr: await createCsr(keys.ike) };
  const reply = await atBackup.core.channels.enroll({ secret: parseToken(token).secret, ...csrs }, '192.0.2.7');
  return {
    channel: { key: keys.channel, certificate: reply.channelCertificate },
    ike: { key: keys.ike, certificate: reply.ikeCertificate! },
  };
}

const newKey = (): Promise<string> => generatePrivateKey('ecdsa-p256');

/** The coordinator goes back to the backup. */
async function restored(): Promise<void> {
  await server[Symbol.asyncDispose]();
  mesh.core.flush();
  mesh.store.close();
  restoreBackup({ backup: join(mesh.folder, 'a-backup'), stateDir: mesh.folder, replace: true });
  mesh.nowMs = Date.now();
  mesh.restart();
  server = await openTestServer(ca, mesh.core.channels);
}

async function next(shown: Held, purpose: CertificatePurpose = 'channel'): Promise<Held> {
  const key = await newKey();
  const { certificate } = await renew({
    coordinatorUrl: `https://127.0.0.1:${server.port}`,
    ca: ca.certificatePem,
    channel: shown,
    purpose,
    csr: await createCsr(key),
    nowMs: Date.now(),
    signal: AbortSignal.timeout(10_000),
    timeoutMs: 10_000,
  });
  return { key, certificate };
}

/** A renewal of edge1 so long after the backup. */
async function renewedInGap(minutes = 30, shown = edge1.channel, purpose?: CertificatePurpose): Promise<Held> {
  mesh.nowMs = beganMs + 2 * HOUR_MS + minutes * MINUTE_MS;
  return next(shown, purpose);
}

/** What the mesh's CA has signed, and the coordinator has no memory of. */
async function signed(change: Partial<NodeIssuance> & { readonly key?: string } = {}, by = ca): Promise<Held> {
  const key = change.key ?? (await newKey());
  const nowMs = beganMs + 2.5 * HOUR_MS;
  const issuance = { node: 'edge1', publicKey: publicKeyOf(key), nowMs, ...change };
  return { key, certificate: await issueChannelCertificate(by, issuance) };
}

/** `open`, or the HTTP status of the refusal. */
const knock = (held: Held): Promise<string> => knockAt({ port: server.port, ca, sockets }, held);

const adoptions = (): unknown[] =>
  mesh.core.audit.after(0, 1000).filter(({ action }) => action === 'certificate.adopt');

describe('after a restore, a channel certificate that the backup does not know', () => {
  it('opens a channel, and is the node’s from then on', async () => {
    const following = await renewedInGap();
    expect(await knock(following)).toBe('open');
    await restored();
    expect(await knock(following)).toBe('open');
    expect(await knock(edge1.channel)).toBe('403');
    mesh.restart();
    expect(mesh.store.renewals.certified(EDGE1, 'channel')).toMatchObject([{ certificate: following.certificate }]);
  });

  it('stands beside the one that the backup knows until it was used', async () => {
    const following = await renewedInGap();
    await restored();
    mesh.core.channels.adoptForgotten(new X509Certificate(following.certificate), '192.0.2.7');
    expect(await knock(edge1.channel)).toBe('open');
    expect(await knock(following)).toBe('open');
  });

  it('renews', async () => {
    const following = await renewedInGap();
    await restored();
    await next(following, 'ike');
    expect(await knock(await next(following))).toBe('open');
  });

  it('is an event, and stands in the audit log once', async () => {
    const following = await renewedInGap();
    await restored();
    expect(await knock(following)).toBe('open');
    expect(await knock(following)).toBe('open');
    const actor = { kind: 'node', name: 'edge1' };
    expect(adoptions()).toMatchObject([{ actor, target: 'edge1', outcome: 'done', details: { purpose: 'channel' } }]);
    const events = mesh.core.events.after(0, 100).filter(({ kind }) => kind === 'certificate');
    expect(events).toMatchObject([{ node: 'edge1', message: expect.stringMatching(/before the restore/) as string }]);
  });

  it('is barred when the node is revoked', async () => {
    const following = await renewedInGap();
    await restored();
    expect(await knock(following)).toBe('open');
    mesh.core.members.revoke(EDGE1, null);
    expect(await knock(following)).toBe('410');
  });

  it('may have been signed just before the backup was made', async () => {
    const following = await signed({ nowMs: beganMs + 2 * HOUR_MS - 1000 });
    await restored();
    expect(await knock(following)).toBe('open');
  });

  it('does not matter after a restore of before: each has its own gap', async () => {
    const following = await renewedInGap();
    await restored();
    await backUp(mesh);
    await restored();
    expect(await knock(following)).toBe('open');
  });
});

describe('a channel certificate of an unknown key is refused', () => {
  it('without a restore', async () => {
    expect(await knock(await signed())).toBe('403');
  });

  it.each<[string, () => Promise<Held>]>([
    ['of before the backup', () => signed({ nowMs: beganMs + HOUR_MS })],
    ['of after the restore', () => signed({ nowMs: Date.now() + 30 * MINUTE_MS })],
    ['for a node that has not enrolled', () => signed({ node: 'nobody' })],
    ['for another subject', () => signed({}, { ...ca, subject: 'C=CN, O=Others' })],
    ['for the name of a node and more', () => signed({}, { ...ca, subject: 'C=CN, O=Local Cluster, OU=edge1' })],
    ['for the IKE key of another node', () => signed({ key: remote.ike.key })],
    ['for the IKE key of the same node', () => signed({ key: edge1.ike.key })],
  ])('%s', async (_what, sign) => {
    await restored();
    expect(await knock(await sign())).toBe('403');
    expect(adoptions()).toEqual([]);
  });

  it('for a key that the node has replaced before the backup', async () => {
    const following = await next(edge1.channel);
    expect(await knock(following)).toBe('open');
    await backUp(mesh);
    await restored();
    expect(await knock(await signed({ key: edge1.channel.key }))).toBe('403');
  });

  it('for a key that was revoked', async () => {
    await restored();
    mesh.core.members.revoke(REMOTE, null);
    expect(await knock(await signed({ key: remote.channel.key }))).toBe('410');
  });

  it('of a node that is revoked', async () => {
    await restored();
    mesh.core.members.revoke(EDGE1, null);
    expect(await knock(await signed())).toBe('403');
  });

  it('that is older than one that the node has come with', async () => {
    const lost = await renewedInGap(20);
    const following = await renewedInGap(40);
    await restored();
    expect(await knock(following)).toBe('open');
    expect(await knock(lost)).toBe('403');
  });

  it('of another CA of the same name', async () => {
    const forged = await signed({}, await meshCa());
    await restored();
    expect(await knock(forged)).toBe('401');
    // Where TLS trusts a root above, or CAs below, it is this that holds.
    expect(mesh.core.channels.adoptForgotten(new X509Certificate(forged.certificate), '')).toBeUndefined();
  });

  it('that is for IKE', async () => {
    const ike = await renewedInGap(30, edge1.channel, 'ike');
    await restored();
    expect(await knock(ike)).toBe('401');
    await expect(next(ike)).rejects.toMatchObject({ code: 'not-recognised' });
  });

  it('that has expired, for a renewal as well', async () => {
    const expired = await signed({ validityDays: 1 / 24 });
    await restored();
    expect(await knock(expired)).toBe('401');
    await expect(next(expired)).rejects.toMatchObject({ code: 'not-recognised' });
    expect(adoptions()).toEqual([]);
  });

  it('when it cannot be written, and taken over when it can', async () => {
    const following = await renewedInGap();
    await restored();
    const full = vi.spyOn(mesh.store.admission.revocations, 'noteIssued').mockImplementation(() => {
      throw new Error('disk full');
    });
    expect(await knock(following)).toBe('403');
    expect(mesh.store.renewals.certified(EDGE1, 'channel')).toHaveLength(1);
    full.mockRestore();
    expect(await knock(following)).toBe('open');
  });
});

describe('the IKE certificate that a node has', () => {
  const serials = (): string[] =>
    mesh.store.admission.revocations.revokedCertificates(mesh.nowMs, 100).map(({ serial }) => serial);
  const serialOf = ({ certificate }: Held): string => new X509Certificate(certificate).serialNumber.toLowerCase();
  const greet = (node: string, { certificate }: Held): unknown => mesh.connect(node, { ikeCertificate: certificate });

  it('is revoked with the node although the backup does not know it', async () => {
    const following = await renewedInGap(30, edge1.channel, 'ike');
    await restored();
    greet('edge1', following);
    expect(adoptions()).toMatchObject([{ details: { purpose: 'ike' } }]);
    expect(mesh.store.renewals.certified(EDGE1, 'ike')).toMatchObject([{ certificate: following.certificate }]);
    mesh.core.members.revoke(EDGE1, null);
    expect(serials()).toContain(serialOf(following));
  });

  it('does not take the place of a newer one', async () => {
    const former = await renewedInGap(30, edge1.channel, 'ike');
    await restored();
    const newest = await next(edge1.channel, 'ike');
    greet('edge1', former);
    expect(mesh.store.renewals.certified(EDGE1, 'ike')).toMatchObject([{ certificate: newest.certificate }]);
    mesh.core.members.revoke(EDGE1, null);
    expect(serials()).toEqual(expect.arrayContaining([serialOf(former), serialOf(newest)]));
  });

  it.each<[string, () => Held | Promise<Held>]>([
    ['one that is known', () => edge1.ike],
    ['one of another node', () => ikeCertificate('remote')],
    ['one of another CA', async () => ikeCertificate('edge1', await meshCa())],
    ['one for the channel', () => signed()],
    ['what is none', () => ({ key: '', certificate: 'hello' })],
  ])('changes nothing when it is %s', async (_what, shown) => {
    await restored();
    greet('edge1', await shown());
    expect(adoptions()).toEqual([]);
    expect(mesh.store.renewals.certified(EDGE1, 'ike')).toMatchObject([{ certificate: edge1.ike.certificate }]);
  });

  async function ikeCertificate(node: string, by = ca): Promise<Held> {
    const key = await newKey();
    const nowMs = beganMs + 2.5 * HOUR_MS;
    return { key, certificate: await issueIkeCertificate(by, { node, publicKey: publicKeyOf(key), nowMs }) };
  }
});
