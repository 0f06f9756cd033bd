import { once } from 'node:events';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import {
  connect as connectTls,
  createServer as createTlsServer,
  type ConnectionOptions,
  type TLSSocket,
} from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ChannelLimits } from '../../src/coordinator/channel-limits.ts';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import { EnrolmentRefused, type EnrolmentRefusedCode } from '../../src/coordinator/enrol-refused.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import { createCsr, verifyCsr } from '../../src/identity/csr.ts';
import { enroll } from '../../src/identity/enroll.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../../src/identity/enrolment.ts';
import type { IdentityErrorCode } from '../../src/identity/identity-error.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { caPinOf, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { createToken, parseToken } from '../../src/identity/token.ts';
import { MESH, meshCa } from '../identity/mesh.ts';
import { EDGE1, FakeHost, nodeKeys, openTestServer, type NodeKeys } from './channel-fixture.ts';
import { MESH_KEY } from '../control/statements.ts';

let ca: MeshCa;
let host: FakeHost;
let server: ChannelServer;
let token: string;
let csrs: { readonly channelCsr: string; readonly ikeCsr: string };
const requests: EnrolmentRequest[] = [];

beforeAll(async () => {
  ca = await meshCa();
  token = createToken(caPinOf(ca.certificatePem));
  const [channelKey, ikeKey] = [await generatePrivateKey('ecdsa-p256'), await generatePrivateKey('rsa-2048')];
  csrs = { channelCsr: await createCsr(channelKey), ikeCsr: await createCsr(ikeKey) };
});
beforeEach(() => start());
afterEach(() => server[Symbol.asyncDispose]());

async function start(limits: Partial<ChannelLimits> = {}, hosts?: readonly string[]): Promise<void> {
  if (server !== undefined) await server[Symbol.asyncDispose]();
  host = new FakeHost();
  host.enrolment = certify;
  requests.length = 0;
  server = await openTestServer(ca, host, limits, hosts);
}

/** What the core does, without its records. */
async function certify(request: EnrolmentRequest): Promise<EnrolmentReply> {
  requests.push(request);
  const issuance = { node: 'edge1', nowMs: Date.now() };
  const channel = await verifyCsr(request.channelCsr);
  const ike = await verifyCsr(request.ikeCsr!);
  return {
    node: 'edge1',
    mesh: MESH,
    ca: ca.certificatePem,
    signingKeys: [MESH_KEY.publicKey],
    channelCertificate: await issueChannelCertificate(ca, { ...issuance, publicKey: channel.publicKey }),
    ikeCertificate: await issueIkeCertificate(ca, { ...issuance, publicKey: ike.publicKey }),
  };
}

type EnrollOverrides = Partial<Parameters<typeof enroll>[0]>;

function enrollHere(overrides: EnrollOverrides = {}): Promise<EnrolmentReply> {
  const coordinatorUrl = `https://127.0.0.1:${server.port}`;
  const nowMs = Date.now();
  return enroll({ coordinatorUrl, token, ...csrs, nowMs, signal: AbortSignal.timeout(10_000), ...overrides });
}

async function expectRefusal(code: IdentityErrorCode, message: RegExp, overrides?: EnrollOverrides): Promise<void> {
  await expect(enrollHere(overrides)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
}

/** Enrolments are held until `finish`. `begun` resolves once the host has the first. */
function holdEnrolment(): { readonly begun: Promise<void>; readonly finish: () => void } {
  let finish: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    host.enrolment = async (request) => {
      resolve();
      await new Promise<void>((done) => (finish = done));
      return certify(request);
    };
  });
  return { begun, finish: () => finish() };
}

describe('a node that enrols', () => {
  it('gets its certificates for the secret of its token', async () => {
    const reply = await enrollHere();
    expect(reply).toMatchObject({ node: 'edge1', mesh: MESH, ca: ca.certificatePem });
    expect(requests).toEqual([{ secret: parseToken(token).secret, ...csrs }]);
  });

  it('may write a slash behind the URL', async () => {
    expect(await enrollHere({ coordinatorUrl: `https://127.0.0.1:${server.port}/` })).toHaveProperty('node');
  });

  it('finds the coordinator by name', async () => {
    await start({}, ['localhost']);
    expect(await enrollHere({ coordinatorUrl: `https://localhost:${server.port}` })).toHaveProperty('node');
  });

  it.each<[EnrolmentRefusedCode, IdentityErrorCode]>([
    ['token-unknown', 'token-refused'],
    ['token-used', 'token-refused'],
    ['token-expired', 'token-refused'],
    ['csr-invalid', 'enrolment-refused'],
    ['node-unknown', 'enrolment-refused'],
  ])('is told of %s as %s, in the words of the coordinator', async (refused, code) => {
    host.enrolment = () => Promise.reject(new EnrolmentRefused(refused, 'because\nof this'));
    await expectRefusal(code, /^because of this/);
  });

  it('is told that the coordinator failed, but not how', async () => {
    host.enrolment = () => Promise.reject(new Error('the database is on fire'));
    await expectRefusal('enrolment-refused', /^the coordinator could not do it, see its log$/);
  });

  it.each(['', 'hello', 'http://127.0.0.1', 'https://127.0.0.1/v1', 'https://a@127.0.0.1'])(
    'cannot use the URL %j',
    async (coordinatorUrl) => {
      await expectRefusal('bad-url', /is not the URL of a coordinator/, { coordinatorUrl });
    },
  );

  it('cannot use a damaged token', async () => {
    await expectRefusal('bad-token', /begin with "cyg1."/, { token: 'hello' });
  });
});

describe('the secret is kept from', () => {
  it('a coordinator of another mesh', async () => {
    const other = createToken(caPinOf((await meshCa()).certificatePem));
    await expectRefusal('wrong-ca', /not of the token's mesh/, { token: other });
    expect(requests).toEqual([]);
  });

  it('a coordinator with another name', async () => {
    await start({}, ['192.0.2.1', 'coordinator.example']);
    await expectRefusal('wrong-ca', /is for IP Address:192\.0\.2\.1, DNS:coordinator\.example: use one of these/);
    expect(requests).toEqual([]);
  });

  it.each([
    ['a node of the mesh', async () => ({ ...(await nodeKeys(ca)), chain: ca.certificatePem }), /not one for a coordi/],
    ['a server that hides its CA', async () => ({ ...(await nodeKeys(ca)), chain: '' }), /does not send its CA/],
    [
      'a server that shows the CA beside a certificate of another',
      async () => ({ ...(await nodeKeys(await meshCa())), chain: ca.certificatePem }),
      /not send its CA|has not issued/,
    ],
  ])('%s', async (_who, impostor, message) => {
    const { key, cert, chain } = await impostor();
    const received: Buffer[] = [];
    const tls = createTlsServer({ key, cert: cert + chain }, (socket) => {
      socket.on('data', (data) => received.push(data)).on('error', () => undefined);
    });
    await once(tls.listen(0, '127.0.0.1'), 'listening');
    const { port } = tls.address() as AddressInfo;
    await expectRefusal('wrong-ca', message, { coordinatorUrl: `https://127.0.0.1:${port}` });
    tls.close();
    await once(tls, 'close');
    expect(received).toEqual([]);
  });
});

describe('a reply is not trusted when', () => {
  const cases: Record<string, [IdentityErrorCode, RegExp, (reply: EnrolmentReply) => unknown]> = {
    'it brings another CA': [
      'wrong-ca',
      /another CA/,
      async (reply) => ({ ...reply, ca: (await meshCa()).certificatePem }),
    ],
    'a certificate is for another key': [
      'bad-reply',
      /another key/,
      (reply) => ({ ...reply, ikeCertificate: reply.channelCertificate }),
    ],
    'a certificate is of another CA': [
      'bad-reply',
      /not issued by/,
      async (reply) => ({ ...reply, ikeCertificate: (await nodeKeys(await meshCa())).cert }),
    ],
    'a certificate cannot be read': ['bad-reply', /cannot be read/, (reply) => ({ ...reply, ikeCertificate: 'hello' })],
    'it lacks its certificates': ['bad-reply', /not one to an enrolment/, ({ node, mesh }) => ({ node, mesh })],
    'it lacks one that was asked for': [
      'bad-reply',
      /other certificates than were asked for/,
      ({ ikeCertificate: _lost, ...reply }) => reply,
    ],
    'it is too large': ['bad-reply', /larger than/, (reply) => ({ ...reply, more: 'x'.repeat(100_000) })],
  };
  it.each(Object.entries(cases))('%s', async (_what, [code, message, forge]) => {
    host.enrolment = async (request) => (await forge(await certify(request))) as EnrolmentReply;
    await expectRefusal(code, message);
  });

  it('brings a certificate that was not asked for', async () => {
    host.enrolment = (request) => certify({ ...request, ...csrs });
    const coordinatorUrl = `https://127.0.0.1:${server.port}`;
    const { channelCsr } = csrs;
    const asked = { coordinatorUrl, token, channelCsr, nowMs: Date.now(), signal: AbortSignal.timeout(10_000) };
    await expect(enroll(asked)).rejects.toMatchObject({
      code: 'bad-reply',
      message: expect.stringContaining('other certificates than were asked for') as string,
    });
  });
});

describe('a coordinator that', () => {
  it('is not there', async () => {
    const { port } = server;
    await server[Symbol.asyncDispose]();
    const coordinatorUrl = `https://127.0.0.1:${port}`;
    await expectRefusal('coordinator-unreachable', /ECONNREFUSED/, { coordinatorUrl });
  });

  it('speaks no TLS', async () => {
    const tcp = createTcpServer((socket) => socket.on('error', () => undefined).end('hello\r\n'));
    await once(tcp.listen(0, '127.0.0.1'), 'listening');
    const coordinatorUrl = `https://127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    await expectRefusal('coordinator-unreachable', /127\.0\.0\.1/, { coordinatorUrl });
    tcp.close();
  });

  it('accepts and then says nothing', async () => {
    const tcp = createTcpServer();
    await once(tcp.listen(0, '127.0.0.1'), 'listening');
    const coordinatorUrl = `https://127.0.0.1:${(tcp.address() as AddressInfo).port}`;
    await expectRefusal('coordinator-unreachable', /did not answer within 0.05 s/, { coordinatorUrl, timeoutMs: 50 });
    tcp.close();
  });

  it('never replies', async () => {
    let reply: (value: EnrolmentReply) => void = () => undefined;
    host.enrolment = () => new Promise((resolve) => (reply = resolve));
    await expectRefusal('coordinator-unreachable', /did not answer within 0.2 s/, { timeoutMs: 200 });
    reply(await certify({ secret: '', ...csrs }));
  });

  it('is given up when the caller wants it', async () => {
    const controller = new AbortController();
    host.enrolment = async (request) => {
      controller.abort();
      return certify(request);
    };
    await expectRefusal('aborted', /stopped/, { signal: controller.signal });
  });
});

describe('the enrolment endpoint', () => {
  async function answer(
    body: string,
    options: Pick<RequestOptions, 'method' | 'path' | 'key' | 'cert'> = {},
  ): Promise<{ readonly status: number | undefined; readonly code: unknown }> {
    const request = httpsRequest({
      host: '127.0.0.1',
      port: server.port,
      ca: ca.certificatePem,
      method: 'POST',
      path: '/v1/enroll',
      ...options,
    });
    request.on('error', () => undefined).end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const text = await response.setEncoding('utf8').reduce((all: string, chunk: string) => all + chunk, '');
    return { status: response.statusCode, code: JSON.parse(text).error?.code };
  }

  const renewal = JSON.stringify({ purpose: 'ike', csr: 'csr' });

  async function knownNode(): Promise<NodeKeys> {
    const keys = await nodeKeys(ca);
    host.keys.set(keys.spkiSha256, EDGE1);
    host.renewal = () => Promise.resolve({ certificate: 'certificate' });
    return keys;
  }

  const good = (): string => JSON.stringify({ secret: 's', ...csrs });

  it.each([
    ['no JSON', 'hello'],
    ['no request', '{}'],
    ['a field too many', JSON.stringify({ secret: 's', channelCsr: '', ikeCsr: '', subject: 'CN=edge1' })],
    ['deep nesting', '['.repeat(60_000)],
  ])('answers 400 to %s', async (_what, body) => {
    expect(await answer(body)).toEqual({ status: 400, code: 'bad-request' });
    expect(requests).toEqual([]);
  });

  it('answers 413 to a body above the limit', async () => {
    expect(await answer('x'.repeat(70_000))).toEqual({ status: 413, code: 'too-large' });
  });

  it('answers 404 to other paths and 405 to other methods', async () => {
    expect(await answer('', { path: '/' })).toEqual({ status: 404, code: 'not-found' });
    expect(await answer('', { method: 'PUT' })).toEqual({ status: 405, code: 'bad-request' });
  });

  it.each<[EnrolmentRefusedCode, number]>([
    ['token-unknown', 403],
    ['token-expired', 403],
    ['token-used', 409],
    ['csr-invalid', 400],
  ])('answers to %s with %i', async (code, status) => {
    host.enrolment = () => Promise.reject(new EnrolmentRefused(code, ''));
    expect(await answer(good())).toEqual({ status, code });
  });

  it('answers 503 to more requests at once than its limit', async () => {
    await start({ enrolmentsMax: 1 });
    const { begun, finish } = holdEnrolment();
    const first = answer(good());
    await begun;
    expect(await answer(good())).toEqual({ status: 503, code: 'busy' });
    finish();
    expect(await first).toMatchObject({ status: 200 });
  });

  /** Begins a request and sends no body. Resolves once the server has heard of it. */
  async function beginSlowly(path: string, identity: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: ca.certificatePem, ...identity });
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n`);
    const [heard] = (await once(socket, 'data')) as [Buffer];
    expect(heard.toString('latin1')).toMatch(/^HTTP\/1\.1 100 /);
    return socket;
  }

  it('enrols and renews however many are still sending', async () => {
    await start({ enrolmentsMax: 1, renewalsMax: 1 });
    const edge1 = await knownNode();
    const slow = [await beginSlowly('/v1/enroll'), await beginSlowly('/v1/renew', edge1)];
    expect(await answer(good())).toMatchObject({ status: 200 });
    expect(await answer(renewal, { path: '/v1/renew', ...edge1 })).toMatchObject({ status: 200 });
    for (const socket of slow) socket.destroy();
  });

  it('renews however many enrol', async () => {
    await start({ enrolmentsMax: 1 });
    const edge1 = await knownNode();
    const { begun, finish } = holdEnrolment();
    const first = answer(good());
    await begun;
    expect(await answer(renewal, { path: '/v1/renew', ...edge1 })).toMatchObject({ status: 200 });
    finish();
    await first;
  });

  it('refuses a renewal of a stranger without waiting for its body', async () => {
    const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: ca.certificatePem });
    socket.write('POST /v1/renew HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n');
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 403 /);
    expect(host.refusals).toHaveLength(1);
  });

  it('refuses the renewal of a node that is revoked while it sends', async () => {
    const { spkiSha256, ...edge1 } = await knownNode();
    const socket = await beginSlowly('/v1/renew', edge1);
    host.keys.clear();
    host.revokedKeys.set(spkiSha256, EDGE1);
    socket.write(renewal.padEnd(100));
    const [told] = (await once(socket, 'data')) as [Buffer];
    expect(told.toString('latin1')).toMatch(/^HTTP\/1\.1 410 /);
    socket.destroy();
  });

  it('hangs up on a request that does not end', async () => {
    await start({ requestTimeoutMs: 50 });
    const socket = connectTls({ host: '127.0.0.1', port: server.port, ca: ca.certificatePem });
    socket.write('POST /v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc');
    await once(socket.resume(), 'close');
  });

  it('finishes what is under way before it stops', async () => {
    const { begun, finish } = holdEnrolment();
    const enrolled = enrollHere();
    await begun;
    const stopped = server[Symbol.asyncDispose]();
    finish();
    expect(await enrolled).toHaveProperty('node', 'edge1');
    await stopped;
  });
});
