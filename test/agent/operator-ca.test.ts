import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ControlChannel } from '../../src/agent/channel.ts';
import { enrolNode } from '../../src/agent/enrol.ts';
import { pinnedTrust, type PinnedKeys } from '../../src/agent/state-trust.ts';
import { storedIn, type NodeIdentity } from '../../src/agent/stored.ts';
import { systemClock } from '../../src/clock.ts';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import { issueChannelCertificate } from '../../src/identity/certificates.ts';
import { verifyCsr } from '../../src/identity/csr.ts';
import { caPinOf, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { checkOperatorCa } from '../../src/identity/operator-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { createLogger } from '../../src/log.ts';
import { firstHello } from '../control/frame-builders.ts';
import { FakeHost, openTestServer } from '../coordinator/channel-fixture.ts';
import { publicKeyOf } from '../identity/mesh.ts';
import { authority, handedOver } from '../identity/operator-pki.ts';
import { eventually } from '../vici/eventually.ts';
import { certify } from './certify.ts';
import { temporaryFolder } from './temporary-folder.ts';

const never = new AbortController().signal;

let ca: MeshCa;
/** Another CA of the same root. */
let other: MeshCa;
let host: FakeHost;
let server: ChannelServer;

beforeAll(async () => {
  const root = await authority({ name: 'Root' });
  const made = async (name: string): Promise<MeshCa> =>
    checkOperatorCa(handedOver(await authority({ name, issuer: root }), root), Date.now());
  [ca, other] = [await made('VPN CA'), await made('Web CA')];
});

beforeEach(async () => {
  host = new FakeHost();
  host.enrolment = async (request) => {
    host.keys.set((await verifyCsr(request.channelCsr)).spkiSha256, 'edge1' as never);
    return { ...(await certify(ca, request)), ...(ca.chainPem !== undefined && { chain: ca.chainPem }) };
  };
  server = await openTestServer(ca, host);
  return () => server[Symbol.asyncDispose]();
});

async function enrol(): Promise<NodeIdentity> {
  const command = {
    coordinator: `https://127.0.0.1:${server.port}`,
    token: createToken(caPinOf(ca.certificatePem)),
  };
  const deps = {
    stored: storedIn(temporaryFolder()),
    keyType: 'ecdsa-p256',
    isIkePlaced: false,
    clock: systemClock,
    pinned: (keys: PinnedKeys) => pinnedTrust(keys, undefined, undefined),
    identity: () => undefined,
    onUnusable: () => undefined,
  } as const;
  return (await enrolNode(deps, command, never)).identity;
}

function channelOf(identity: NodeIdentity): ControlChannel {
  const stop = new AbortController();
  const channel: ControlChannel = new ControlChannel({
    identity,
    clock: systemClock,
    random: () => 0.01,
    logger: createLogger('test', 'silent'),
    hello: () => firstHello,
    opened: () => undefined,
    received: () => undefined,
    refused: () => undefined,
  });
  const running = channel.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return channel;
}

describe('a mesh whose CA is an intermediate of the operator’s PKI', () => {
  it('lets a node enrol and open its channel, and gives it the chain', async () => {
    const identity = await enrol();
    expect(identity).toMatchObject({ ca: ca.certificatePem, chain: ca.chainPem });
    channelOf(identity);
    expect(await host.until(1)).toEqual(['opened edge1 from 127.0.0.1']);
  });

  it('takes no chain that is not its CA’s', async () => {
    host.enrolment = async (request) => ({ ...(await certify(ca, request)), chain: other.certificatePem });
    await expect(enrol()).rejects.toMatchObject({ code: 'bad-reply' });
  });

  it('believes no certificate of another CA of that PKI, at either end', async () => {
    const identity = await enrol();
    const issuance = { node: 'edge1', publicKey: publicKeyOf(identity.channel.key), nowMs: Date.now() };
    const certificate = await issueChannelCertificate(other, issuance);
    const foreign = { ...identity, channel: { ...identity.channel, certificate } };
    const refused = channelOf(foreign);
    await eventually(() => expect(refused.status.problem).toMatch(/does not accept this certificate/));

    await using impostor = await openTestServer(other, host);
    const deceived = channelOf({ ...identity, coordinatorUrl: `https://127.0.0.1:${impostor.port}` });
    await eventually(() => expect(deceived.status.problem).toMatch(/certificate/));
    expect(host.heard).toEqual([]);
  });
});
