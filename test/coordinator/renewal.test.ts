import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import {
  issueChannelCertificate,
  issueIkeCertificate,
  issueServerCertificate,
} from '../../src/identity/certificates.ts';
import { createCsr } from '../../src/identity/csr.ts';
import type { IdentityError, IdentityErrorCode } from '../../src/identity/identity-error.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { caPinOf, createMeshCa, renewMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { mediationIdentity, tunnelIdentity } from '../../src/identity/names.ts';
import { renew, type Renewed, type RenewOptions } from '../../src/identity/renew.ts';
import type { CertificatePurpose } from '../../src/identity/renewal.ts';
import { parseToken } from '../../src/identity/token.ts';
import { nodeNameSchema } from '../../src/ike/connection.ts';
import { MESH, meshCa, publicKeyOf, SUBJECT } from '../identity/mesh.ts';
import { knockAt, openTestServer } from './channel-fixture.ts';
import { CoreFixture } from './core-fixture.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const PURPOSES: readonly CertificatePurpose[] = ['channel', 'ike'];

interface Held {
  readonly key: string;
  readonly certificate: string;
}

/** A node's two. */
type Holding = Readonly<Record<CertificatePurpose, Held>>;

let ca: MeshCa;
let fixture: CoreFixture;
let server: ChannelServer;
const sockets: WebSocket[] = [];

beforeAll(async () => {
  ca = await meshCa();
});
beforeEach(async () => {
  fixture = new CoreFixture(ca);
  fixture.nowMs = Date.now();
  server = await openTestServer(ca, fixture.core.channels);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await server[Symbol.asyncDispose]();
  fixture[Symbol.dispose]();
});

/** The coordinator ends and begins again, with another CA if there is one. */
async function restart(other?: MeshCa): Promise<void> {
  await server[Symbol.asyncDispose]();
  if (other === undefined) {
    fixture.restart();
  } else {
    fixture[Symbol.dispose]();
    fixture = new CoreFixture(other);
    fixture.nowMs = Date.now();
  }
  server = await openTestServer(other ?? ca, fixture.core.channels);
}

/** Lets a node in as it was so long ago. */
async function enrolled(node = 'edge1', agoMs = 0): Promise<Holding> {
  const keys = { channel: await newKey(), ike: await newKey() };
  fixture.nowMs = Date.now() - agoMs;
  const { token } = fixture.core.tokens.issue(nodeNameSchema.parse(node), 3600);
  const csrs = { channelCsr: await createCsr(keys.channel), ikeCsr: await createCsr(keys.ike) };
  const reply = await fixture.core.channels.enroll({ secret: parseToken(token).secret, ...csrs }, '192.0.2.7');
  fixture.nowMs = Date.now();
  return {
    channel: { key: keys.channel, certificate: reply.channelCertificate },
    ike: { key: keys.ike, certificate: reply.ikeCertificate! },
  };
}

const newKey = (): Promise<string> => generatePrivateKey('ecdsa-p256');

async function answered(
  channel: Held,
  purpose: CertificatePurpose,
  key: string,
  options: Partial<RenewOptions> = {},
): Promise<Renewed> {
  return renew({
    coordinatorUrl: `https://127.0.0.1:${server.port}`,
    ca: ca.certificatePem,
    channel,
    purpose,
    csr: await createCsr(key),
    nowMs: Date.now(),
    signal: AbortSignal.timeout(10_000),
    timeoutMs: 10_000,
    ...options,
  });
}

async function renewed(...request: Parameters<typeof answered>): Promise<string> {
  return (await answered(...request)).certificate;
}

async function next(channel: Held, purpose: CertificatePurpose = 'channel'): Promise<Held> {
  const key = await newKey();
  return { key, certificate: await renewed(channel, purpose, key) };
}

/** What becomes of a channel that is opened so: `open`, or the HTTP status of the refusal. */
const knock = (held: Held): Promise<string> => knockAt({ port: server.port, ca, sockets }, held);

function expectRefusal(renewal: Promise<unknown>, code: IdentityErrorCode, message: RegExp): Promise<void> {
  return expect(renewal).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error,
  );
}

describe('a renewal', () => {
  it.each(PURPOSES)('gives a certificate (%s) for the new key, with the names of the record', async (purpose) => {
    const { channel } = await enrolled();
    const { key, certificate } = await next(channel, purpose);
    const given = new X509Certificate(certificate);
    expect(given.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(given.subject.split('\n').join(', ')).toBe(mediationIdentity(SUBJECT, 'edge1'));
    expect(given.subjectAltName).toBe(purpose === 'ike' ? `DNS:${tunnelIdentity(MESH, 'edge1')}` : undefined);
    const days = (Date.parse(given.validTo) - Date.now()) / DAY_MS;
    expect(Math.round(days)).toBe(purpose === 'ike' ? 30 : 7);
  });

  it.each(PURPOSES)('whose reply (%s) was lost gives the same certificate again', async (purpose) => {
    const { channel } = await enrolled();
    const key = await newKey();
    const lost = await renewed(channel, purpose, key);
    await restart();
    expect(await renewed(channel, purpose, key)).toBe(lost);
  });

  it('is an event of its own, and stands in the audit log', async () => {
    const { channel } = await enrolled();
    await next(channel, 'ike');
    expect(fixture.core.events.after(0, 10).at(-1)).toMatchObject({ node: 'edge1', kind: 'certificate' });
    expect(fixture.core.audit.after(0, 100).at(-1)).toMatchObject({
      actor: { kind: 'node', name: 'edge1' },
      action: 'certificate.renew',
      outcome: 'done',
    });
  });

  it('never gives a certificate beyond the end of the CA', async () => {
    const endMs = Date.now() + 10 * DAY_MS;
    const ending = await createMeshCa({ mesh: MESH, subject: SUBJECT, nowMs: endMs - 3652 * DAY_MS });
    await restart(ending);
    const { channel } = await enrolled();
    const certificate = await renewed(channel, 'ike', await newKey(), { ca: ending.certificatePem });
    expect(new X509Certificate(certificate).validTo).toBe(new X509Certificate(ending.certificatePem).validTo);
  });
});

describe('the mesh’s CA, renewed with the same key,', () => {
  const LATER_MS = 1000 * DAY_MS;
  let holding: Holding;

  /** A node of before. */
  beforeEach(async () => {
    holding = await enrolled();
  });

  /** As after a change of its file. */
  async function restartAs(changed: MeshCa): Promise<void> {
    await server[Symbol.asyncDispose]();
    fixture.restart(changed);
    server = await openTestServer(changed, fixture.core.channels);
  }

  it.each(PURPOSES)('comes to a node with its next certificate (%s)', async (purpose) => {
    const younger = await renewMeshCa({ ...ca }, Date.now() + HOUR_MS / 2);
    await restartAs(younger);
    const { certificate, authority } = await answered(holding.channel, purpose, await newKey());
    expect(authority).toEqual({ ca: younger.certificatePem });
    expect(new X509Certificate(certificate).checkIssued(new X509Certificate(younger.certificatePem))).toBe(true);
    expect(caPinOf(younger.certificatePem)).toBe(caPinOf(ca.certificatePem));
  });

  it('does not, when it ends sooner than the one that the node has', async () => {
    await restartAs(await renewMeshCa({ ...ca }, Date.now() - LATER_MS));
    expect((await answered(holding.channel, 'channel', await newKey())).authority).toBeUndefined();
  });

  it('does not, when it is not valid yet by the node’s clock', async () => {
    await restartAs(await renewMeshCa({ ...ca }, Date.now() + HOUR_MS / 2));
    const nowMs = Date.now() - HOUR_MS * 0.75;
    expect((await answered(holding.channel, 'channel', await newKey(), { nowMs })).authority).toBeUndefined();
  });

  it('is refused with another key, whatever its name', async () => {
    const other = await meshCa();
    const { channels } = fixture.core;
    const given = channels.renew.bind(channels);
    vi.spyOn(channels, 'renew').mockImplementation(async (...request) => {
      return { ...(await given(...request)), ca: other.certificatePem };
    });
    await expectRefusal(next(holding.channel), 'bad-reply', /another CA than that of the mesh/);
  });
});

describe('of two channel certificates', () => {
  it('both open a channel until the next one has; then the former one does no more', async () => {
    const { channel } = await enrolled();
    const following = await next(channel);
    expect(await knock(channel)).toBe('open');
    expect(await knock(following)).toBe('open');
    expect(await knock(channel)).toBe('403');
    expect(await knock(following)).toBe('open');
  });

  it('the next one counts as used when something is renewed with it', async () => {
    const { channel } = await enrolled();
    const following = await next(channel);
    await next(following, 'ike');
    expect(await knock(channel)).toBe('403');
    await expectRefusal(next(channel), 'not-recognised', /does not know/);
  });

  it('the next one is not replaced while its first use cannot be written', async () => {
    const { channel } = await enrolled();
    const following = await next(channel);
    vi.spyOn(fixture.store.renewals, 'used').mockImplementationOnce(() => expect.fail('disk full'));
    await expectRefusal(next(following), 'renewal-refused', /see its log/);
    expect(await knock(following)).toBe('open');
  });

  it('a next one that was never used gives way to another next one', async () => {
    const { channel } = await enrolled();
    const unused = await next(channel);
    const following = await next(channel);
    expect(await knock(unused)).toBe('403');
    expect(await knock(following)).toBe('open');
  });

  it('none is good after the node was enrolled anew', async () => {
    const { channel } = await enrolled();
    const following = await next(channel);
    await enrolled();
    expect(await knock(channel)).toBe('403');
    expect(await knock(following)).toBe('403');
  });
});

describe('a certificate that has expired', () => {
  const EXPIRED_AGO = 3 * DAY_MS;
  const expired = (agoMs = EXPIRED_AGO): Promise<Holding> => enrolled('edge1', 7 * DAY_MS + agoMs);

  it('can be renewed within the grace, both of a node’s, but opens no channel', async () => {
    const { channel } = await expired();
    expect(await knock(channel)).toBe('401');
    const following = await next(channel);
    expect(await knock(channel)).toBe('401');
    await next(channel, 'ike');
    expect(await knock(following)).toBe('open');
  });

  it('cannot be renewed after the grace', async () => {
    const { channel } = await expired(30 * DAY_MS + HOUR_MS);
    await expectRefusal(next(channel), 'not-recognised', /expired too long ago/);
  });

  it('that was not used before it expired can be renewed as well', async () => {
    const { channel } = await enrolled('edge1', 20 * DAY_MS);
    fixture.nowMs = Date.now() - 10 * DAY_MS;
    const key = await newKey();
    const certificate = await renewed(channel, 'channel', key, { nowMs: fixture.nowMs });
    fixture.nowMs = Date.now();
    expect(await knock(await next({ key, certificate }))).toBe('open');
  });

  it('is nothing without the key that it is for', async () => {
    const { channel } = await expired();
    const key = await newKey();
    await expect(next({ key, certificate: channel.certificate })).rejects.toThrow(/key values mismatch/);
  });

  /** OpenSSL tells "expired" of all of them: it tells the last of several mistakes. */
  const issuance = (key: string): Parameters<typeof issueChannelCertificate>[1] => {
    return { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() - 10 * DAY_MS, validityDays: 7 };
  };
  it.each<[string, (key: string) => Promise<string>]>([
    ['of another CA', async (key) => issueChannelCertificate(await meshCa('other.example'), issuance(key))],
    ['of another CA of the same name', async (key) => issueChannelCertificate(await meshCa(), issuance(key))],
    ['for another usage', (key) => issueIkeCertificate(ca, issuance(key))],
    ['that the node was not given', (key) => issueChannelCertificate(ca, issuance(key))],
  ])('is refused, %s, although it is for the node’s key', async (_what, forge) => {
    const { channel } = await expired();
    const forged = { key: channel.key, certificate: await forge(channel.key) };
    await expectRefusal(next(forged), 'not-recognised', /does not know/);
    expect(await knock(forged)).toBe('401');
    // The node itself is not harmed by that.
    await next(channel);
  });
});

describe('a renewal is refused', () => {
  it.each<[string, () => Promise<Held>]>([
    ['a stranger of the mesh’s CA', async () => held((key) => issueChannelCertificate(ca, ofEdge1(key)))],
    ['a key of another CA', async () => held(async (key) => issueChannelCertificate(await meshCa(), ofEdge1(key)))],
    ['the IKE certificate of a node', async () => (await enrolled()).ike],
    [
      'the coordinator itself',
      async () => held((key) => issueServerCertificate(ca, { ...ofEdge1(key), hosts: ['a'] })),
    ],
  ])('to %s', async (_who, who) => {
    await expectRefusal(next(await who()), 'not-recognised', /does not know/);
  });

  it('to a revoked node, whatever its certificate', async () => {
    const { channel } = await enrolled();
    const following = await next(channel);
    fixture.core.members.revoke(nodeNameSchema.parse('edge1'), null);
    for (const shown of [channel, following]) {
      await expectRefusal(next(shown), 'not-recognised', /is revoked/);
      expect(await knock(shown)).toBe('410');
    }
  });

  it('for a key of a revoked node', async () => {
    const { ike } = await enrolled();
    fixture.core.members.revoke(nodeNameSchema.parse('edge1'), null);
    const remote = await enrolled('remote');
    await expectRefusal(renewed(remote.channel, 'ike', ike.key), 'keys-refused', /has had/);
  });

  it('for a key of another node, whatever it is used for there', async () => {
    const { channel } = await enrolled();
    const remote = await enrolled('remote');
    const theirs = await next(remote.channel);
    for (const { key } of [remote.channel, remote.ike, theirs]) {
      for (const purpose of PURPOSES) {
        await expectRefusal(renewed(channel, purpose, key), 'keys-refused', /has had its certificate/);
      }
    }
  });

  it('for the other key of the same node', async () => {
    const { channel, ike } = await enrolled();
    await expectRefusal(renewed(channel, 'ike', channel.key), 'keys-refused', /has had/);
    await expectRefusal(renewed(channel, 'channel', ike.key), 'keys-refused', /has had/);
  });

  it.each(PURPOSES)('for the old key (%s), when it is time for a new one', async (purpose) => {
    const holding = await enrolled();
    fixture.nowMs += (purpose === 'ike' ? 16 : 4) * DAY_MS;
    await expectRefusal(renewed(holding.channel, purpose, holding[purpose].key), 'keys-refused', /has had/);
  });

  it('for a CSR that proves nothing', async () => {
    await enrolled();
    const edge1 = { node: nodeNameSchema.parse('edge1'), key: '', remote: '192.0.2.7' };
    const renewal = fixture.core.channels.renew(edge1, { purpose: 'channel', csr: 'hello' });
    await expect(renewal).rejects.toMatchObject({ name: 'RenewalRefused', code: 'csr-invalid' });
  });

  describe('when a node has ten of a kind that have not expired', () => {
    let channel: Held;

    /** The first, twenty days before the others. */
    beforeEach(async () => {
      ({ channel } = await enrolled());
      fixture.nowMs -= 20 * DAY_MS;
      await later();
      fixture.nowMs += 20 * DAY_MS;
      for (let count = 1; count < 10; count += 1) await next(channel, 'ike');
    });

    it('also by a coordinator that was restarted', async () => {
      await expectRefusal(next(channel, 'ike'), 'renewal-refused', /10 IKE certificates that have not expired/);
      await restart();
      await expectRefusal(next(channel, 'ike'), 'renewal-refused', /10 IKE certificates that have not expired/);
    });

    /** One for a node whose clock is the coordinator's. */
    async function later(): Promise<void> {
      await renewed(channel, 'ike', await newKey(), { nowMs: fixture.nowMs });
    }

    /** The node is told so. */
    async function expectWait(waitMs: number): Promise<void> {
      const refusal = await later().catch((error: unknown) => error as IdentityError);
      expect((refusal as IdentityError).retryAfterMs).toBeLessThanOrEqual(waitMs);
      expect((refusal as IdentityError).retryAfterMs).toBeGreaterThan(waitMs - 2000);
    }

    it('until the first of them ends', async () => {
      await expectWait(10 * DAY_MS);
      fixture.nowMs += 10 * DAY_MS;
      await later();
    });

    it('but not when half of its newest one is over, however long the others live', async () => {
      fixture.nowMs += 10 * DAY_MS;
      await later();
      // It is valid from an hour before its issue.
      await expectWait(15 * DAY_MS - HOUR_MS / 2);
      fixture.nowMs += 15 * DAY_MS;
      await later();
      await expectWait(5 * DAY_MS);
    });

    it('but not of the other kind, nor to others, nor for enrolments, nor when they were revoked', async () => {
      await next(channel);
      const remote = await enrolled('remote');
      await next(remote.channel, 'ike');
      await enrolled();
      fixture.core.members.revoke(nodeNameSchema.parse('edge1'), null);
      fixture.core.members.readmit(nodeNameSchema.parse('edge1'));
      await next((await enrolled()).channel, 'ike');
    });

    it('to many requests at once as well', async () => {
      fixture.nowMs += 30 * DAY_MS;
      const edge1 = { node: nodeNameSchema.parse('edge1'), key: '', remote: '192.0.2.7' };
      const csrs = await Promise.all(Array.from({ length: 12 }, async () => createCsr(await newKey())));
      const renewals = csrs.map((csr) => fixture.core.channels.renew(edge1, { purpose: 'ike', csr }));
      const outcomes = await Promise.allSettled(renewals);
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(10);
    });
  });

  it('by the node when it is not valid by the node’s own clock', async () => {
    const { channel } = await enrolled();
    const key = await newKey();
    for (const skewMs of [-2 * HOUR_MS, 8 * DAY_MS]) {
      const nowMs = Date.now() + skewMs;
      await expectRefusal(renewed(channel, 'channel', key, { nowMs }), 'bad-clock', /check the clocks/);
    }
    for (const skewMs of [-HOUR_MS + 60_000, HOUR_MS]) {
      await renewed(channel, 'channel', key, { nowMs: Date.now() + skewMs });
    }
  });

  it('by the node when another coordinator answers', async () => {
    const { channel } = await enrolled();
    const other = (await meshCa()).certificatePem;
    await expectRefusal(
      renewed(channel, 'channel', await newKey(), { ca: other }),
      'coordinator-unreachable',
      /certificate/,
    );
  });
});

const ofEdge1 = (key: string): Parameters<typeof issueChannelCertificate>[1] => {
  return { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() };
};

async function held(issue: (key: string) => Promise<string>): Promise<Held> {
  const key = await newKey();
  return { key, certificate: await issue(key) };
}
