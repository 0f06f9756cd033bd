import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ViciCharon } from '../../src/agent/charon-adapter.ts';
import { systemClock } from '../../src/clock.ts';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { issueCrl, type CrlContent } from '../../src/identity/crl.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { certificatesIn, checkOperatorCa } from '../../src/identity/operator-ca.ts';
import type { Connection } from '../../src/ike/connection.ts';
import { loadConnRequest } from '../../src/ike/sections.ts';
import { ViciClient, type ViciSession } from '../../src/vici/index.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';
import { authority, handedOver } from '../identity/operator-pki.ts';
import { canRunCharon } from './charon-daemon.ts';
import { CharonPair } from './charon-pair.ts';
import { toEdge, toHub } from './hub-tunnel.ts';

const INITIATE_MS_MAX = 5000;
const HOUR_MS = 3_600_000;

const derOf = (pem: string): Uint8Array => new X509Certificate(pem).raw;

/** What this charon is to be, as an agent would load it; returns the serial number of its certificate. */
async function equip(session: ViciSession, ca: MeshCa, node: string, connection: Connection): Promise<string> {
  const key = await generatePrivateKey('ecdsa-p256');
  const own = await issueIkeCertificate(ca, { node, publicKey: publicKeyOf(key), nowMs: Date.now() });
  for (const pem of [ca.certificatePem, ...certificatesIn(ca.chainPem ?? '')]) {
    await session.call('load-cert', { type: 'X509', flag: 'CA', data: derOf(pem) });
  }
  await session.call('load-cert', { type: 'X509', flag: 'NONE', data: derOf(own) });
  const data = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
  await session.call('load-key', { type: 'any', data });
  await session.call('load-conn', loadConnRequest(connection, derOf(ca.certificatePem)));
  return new X509Certificate(own).serialNumber;
}

describe.runIf(canRunCharon).each([
  ['5.9', 'the mesh’s own CA'],
  ['6.0', 'the mesh’s own CA'],
  ['5.9', 'an intermediate of the operator’s PKI'],
  ['6.0', 'an intermediate of the operator’s PKI'],
] as const)('the CRL in strongSwan %s, of %s', (strongswan, kind) => {
  const clients: ViciClient[] = [];
  let ca: MeshCa;
  /** Not the mesh's; in the operator's PKI it has the same root. */
  let other: MeshCa;
  let pair: CharonPair;
  let edge: ViciSession;
  let hub: ViciSession;
  let serial: string;

  const sessionOf = (socketPath: string): Promise<ViciSession> => {
    const client = new ViciClient({ socketPath });
    clients.push(client);
    return client.session();
  };

  beforeAll(async () => {
    const root = await authority({ name: 'Root' });
    const made = async (name: string): Promise<MeshCa> =>
      checkOperatorCa(handedOver(await authority({ name, issuer: root }), root), Date.now());
    ca = kind === 'the mesh’s own CA' ? await meshCa() : await made('VPN CA');
    other = kind === 'the mesh’s own CA' ? await meshCa() : await made('Web CA');
    pair = await CharonPair.start({ strongswan });
    [edge, hub] = await Promise.all([sessionOf(pair.left.socketPath), sessionOf(pair.right.socketPath)]);
    serial = await equip(edge, ca, 'edge1', toHub);
    await equip(hub, ca, 'master1', toEdge);
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await pair[Symbol.asyncDispose]();
  });

  /** A list of edge1's certificate or of another one, given to the hub's charon by its agent. */
  async function load(number: number, listed: string, change: Partial<CrlContent> = {}): Promise<void> {
    const nowMs = Date.now();
    const entries = [{ serial: listed, revokedAtMs: nowMs }];
    const crl = issueCrl(ca, { number, nowMs, nextUpdateMs: nowMs + HOUR_MS, entries, ...change });
    const charon = new ViciCharon({ session: hub, clock: systemClock, bootMs: () => 0, routes: new MemoryRoutes() });
    await charon
      .with({ credentials: undefined, crl })
      .executors['load-crl']({ kind: 'load-crl', digest: '' }, AbortSignal.timeout(INITIATE_MS_MAX));
  }

  /** Whether edge1 gets a tunnel; it is gone again afterwards. */
  async function isLetIn(): Promise<boolean> {
    const initiate = { child: 'edge1--remote', timeout: INITIATE_MS_MAX };
    const reply = await edge.request('initiate', initiate, { lane: 'slow' });
    for (const [session, { name }] of [[edge, toHub] as const, [hub, toEdge] as const]) {
      await session.request('terminate', { ike: name, force: 'yes' });
    }
    return reply.get('success') === 'yes';
  }

  const stale = { nowMs: Date.now() - 3 * HOUR_MS, nextUpdateMs: Date.now() - HOUR_MS };

  it('is not needed: without one, and with one that is stale, a node is let in', async () => {
    expect(await isLetIn()).toBe(true);
    await load(10, '4711', stale);
    expect(await isLetIn()).toBe(true);
  });

  it('lets everybody in whom it does not list', async () => {
    await load(11, '4711');
    expect(await isLetIn()).toBe(true);
  });

  it('keeps out whom it lists, whatever the hub’s connections say', async () => {
    await load(12, serial);
    expect(await isLetIn()).toBe(false);
    expect(await pair.right.readLog()).toMatch(/certificate was revoked/);
  });

  it('does so when it is stale, and when an older one comes after it', async () => {
    await load(13, serial, stale);
    expect(await isLetIn()).toBe(false);
    await load(9, '4711');
    expect(await isLetIn()).toBe(false);
  });

  it('is replaced by a newer one', async () => {
    await load(14, '4711');
    expect(await isLetIn()).toBe(true);
  });

  it('is not all that counts: a certificate of another CA is refused, also of one with the same root', async () => {
    await edge.call('clear-creds');
    await equip(edge, other, 'edge1', toHub);
    for (const pem of [ca, other].map(({ certificatePem }) => certificatePem)) {
      for (const session of [edge, hub]) {
        await session.call('load-cert', { type: 'X509', flag: 'CA', data: derOf(pem) });
      }
    }
    await edge.call('load-conn', loadConnRequest(toHub, derOf(ca.certificatePem)));
    expect(await isLetIn()).toBe(false);
    expect(await pair.right.readLog()).toMatch(/peer not authenticated by CA|no trusted .* found for 'edge1/);
  });

  it('lets a certificate of another CA in where the connection names that one too', async () => {
    await hub.call('load-conn', loadConnRequest(toEdge, derOf(ca.certificatePem), derOf(other.certificatePem)));
    expect(await isLetIn()).toBe(true);
  });

  it('is never asked for on the network', async () => {
    for (const daemon of [pair.left, pair.right]) {
      expect(await daemon.readLog()).not.toMatch(/fetching crl|requesting ocsp/);
    }
  });
});
