import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Agent } from '../../src/agent/agent.ts';
import { statusSchema, renewResultSchema } from '../../src/agent/api.ts';
import type { AgentConfig } from '../../src/agent/config.ts';
import { pinnedTrust } from '../../src/agent/state-trust.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { createMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { canonicalJson } from '../../src/json.ts';
import { createLogger } from '../../src/log.ts';
import { itemBytes, type ViciItem, type ViciSection } from '../../src/vici/index.ts';
import { FakeCharon, SUCCESS } from '../../src/vici/testing/index.ts';
import { MESH_KEY, signedState } from '../control/statements.ts';
import { publicKeyOf } from '../identity/mesh.ts';
import { authority } from '../identity/operator-pki.ts';
import { desired, names, spoke } from '../reconcile/builders.ts';
import { eventually } from '../vici/eventually.ts';
import { temporaryFolder } from './temporary-folder.ts';

const bytesOf = (value: unknown): Buffer => Buffer.from(itemBytes(value as ViciItem));

/** An agent with a desired state and a charon, whose coordinator is away; with an IKE certificate of the mesh, or without. */
async function running(
  change: Partial<AgentConfig>,
  ca: MeshCa,
  { hasIke }: { readonly hasIke: boolean },
): Promise<{ charon: FakeCharon; local: LocalApi; loaded: Buffer[] }> {
  const folder = temporaryFolder();
  const charon = await FakeCharon.start({ version: '5.9.8' });
  onTestFinished(() => charon[Symbol.asyncDispose]());
  const loaded: Buffer[] = [];
  charon.on('load-cert', (request) => {
    loaded.push(bytesOf(request.get('data')));
    return SUCCESS;
  });
  const config: AgentConfig = {
    viciSocket: charon.socketPath,
    stateDir: join(folder, 'state'),
    socket: join(folder, 'agent.sock'),
    logLevel: 'silent',
    keyType: 'ecdsa-p256',
    resyncSeconds: 1,
    reflectorPorts: [],
    restartFrozenCharon: 'never',
    ...change,
  };
  const key = await generatePrivateKey('ecdsa-p256');
  const issuance = { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() };
  const stored = storedIn(config.stateDir);
  stored.identity.write({
    node: 'edge1',
    mesh: 'mesh',
    coordinatorUrl: 'https://127.0.0.1:1',
    ca: ca.certificatePem,
    channel: { key, certificate: await issueChannelCertificate(ca, issuance) },
    ...(hasIke && { ike: { key, certificate: await issueIkeCertificate(ca, issuance) } }),
  });
  const state = canonicalJson(desired(spoke()));
  stored.trust.write(pinnedTrust({ mesh: 'mesh', node: 'edge1', keys: [MESH_KEY.publicKey] }, undefined, undefined));
  stored.desired.write({ signed: signedState(state), state });
  const stop = new AbortController();
  const agent = new Agent(config, {
    clock: systemClock,
    bootMs: () => systemClock.monotonicMs(),
    random: () => 0,
    logger: createLogger('test', 'silent'),
    agentVersion: '1.2.3',
    onReady: () => undefined,
  });
  const ended = agent.run(stop.signal);
  onTestFinished(() => {
    stop.abort();
    return ended;
  });
  return { charon, local: new LocalApi({ socketPath: config.socket, service: 'cygnet-agent' }), loaded };
}

it('charon gets the certificate that the operator has placed, when it is right, and no other; the agent does not renew it', async () => {
  const ca = await createMeshCa({ mesh: 'mesh', subject: 'O=mesh', nowMs: Date.now() });
  const theirs = await authority({ name: 'VPN CA' });
  const folder = temporaryFolder();
  const ike = { ca: join(folder, 'ca.pem'), certificate: join(folder, 'own.pem'), key: join(folder, 'own.key') };
  const key = await generatePrivateKey('ecdsa-p256');
  const issuer = { mesh: 'mesh', subject: 'O=mesh', certificatePem: theirs.certificate, privateKeyPem: theirs.key };
  const placed = await issueIkeCertificate(issuer, { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() });
  writeFileSync(ike.ca, theirs.certificate);
  writeFileSync(ike.certificate, placed);

  const { charon, local, loaded } = await running({ ike }, ca, { hasIke: true });
  const isMissing = /ike\.key: .*own\.key: there is no such file; nothing is loaded into charon/;
  await vi.waitFor(
    async () => expect((await local.get('/v1/status', statusSchema)).problems.join()).toMatch(isMissing),
    { timeout: 4000 },
  );
  expect(loaded).toEqual([]);
  // What charon had before goes all the same, when it has no place any more: its peer may be one that was revoked.
  charon.load({ 'cygnet-gone': {} });
  await eventually(() => expect(charon.conns.has('cygnet-gone')).toBe(false));
  expect(charon.commands).not.toContain('load-conn');

  writeFileSync(ike.key, key, { mode: 0o600 });
  await eventually(() => expect(charon.conns.has(names.hub)).toBe(true));
  const cas = [ca.certificatePem, theirs.certificate].map((pem) => new X509Certificate(pem).raw);
  expect(loaded).toEqual([...cas, new X509Certificate(placed).raw]);
  const { remote } = Object.fromEntries(charon.conns.get(names.hub)!) as { readonly remote: ViciSection };
  expect((remote.get('cacerts') as readonly unknown[]).map(bytesOf)).toEqual(cas);

  const { certificates } = await local.get('/v1/status', statusSchema);
  const notAfterMs = Date.parse(new X509Certificate(placed).validTo);
  expect(certificates).toMatchObject([{ purpose: 'channel' }, { purpose: 'ike', notAfterMs, problem: null }]);
  await expect(local.send('POST', '/v1/renew', renewResultSchema)).rejects.toThrow(/channel certificate/);
});

it('charon gets nothing while a node that was enrolled without an IKE certificate of the mesh has no other, and it says so', async () => {
  const ca = await createMeshCa({ mesh: 'mesh', subject: 'O=mesh', nowMs: Date.now() });
  const { charon, local, loaded } = await running({}, ca, { hasIke: false });
  charon.load({ 'cygnet-gone': {} });
  await eventually(() => expect(charon.conns.has('cygnet-gone')).toBe(false));
  expect([loaded, charon.commands.includes('load-conn')]).toEqual([[], false]);
  const { problems, certificates } = await local.get('/v1/status', statusSchema);
  expect(problems).toContainEqual(expect.stringMatching(/no certificate for IKE.*agentctl enroll --again/));
  expect(certificates).toMatchObject([{ purpose: 'channel' }]);
});
