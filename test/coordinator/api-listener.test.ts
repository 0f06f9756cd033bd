import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { meshCa } from '../identity/mesh.ts';
import { bearer, RemoteApiFixture } from './api-fixture.ts';
import { CoreFixture } from './core-fixture.ts';
import { SEED_SPEC } from './spec-builders.ts';

let ca: MeshCa;
let mesh: CoreFixture;
let api: RemoteApiFixture;
let clockMs: number;
let operator: Record<string, string>;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(async () => {
  clockMs = 0;
  mesh = new CoreFixture(ca);
  api = await RemoteApiFixture.open(mesh, ca, () => clockMs);
  operator = bearer(api.token('alice', 'operator'));
});

afterEach(async () => {
  await api[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

const status = async (headers: Record<string, string>, path = '/v1/status'): Promise<number> =>
  (await api.call('GET', path, headers)).status;

/** The serial number of the certificate that it shows. */
async function shown(): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: api.port, ca: ca.certificatePem });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return serialNumber;
}

describe('the API on a port', () => {
  it('shows a renewed certificate from the next connection on, and goes on with those that it has', async () => {
    expect(await status(operator)).toBe(200);
    const before = await shown();
    await api.renewCertificate();
    expect(await shown()).not.toBe(before);
    expect(await status(operator)).toBe(200);
  });

  it('answers who has a token, and records by whom and from where', async () => {
    const spec = { ...operator, 'content-type': 'application/yaml' };
    expect((await api.call('PUT', '/v1/spec', spec, SEED_SPEC)).status).toBe(200);
    expect(mesh.core.audit.after(0, 10).at(-1)).toMatchObject({
      action: 'spec.apply',
      outcome: 'done',
      actor: { kind: 'api-token', name: 'alice' },
      remote: '127.0.0.1',
    });
  });

  it('notes when a token was used, to the minute', async () => {
    const usedAtMs = (): unknown => mesh.core.apiTokens.list()[0]?.lastUsedAtMs;
    expect(usedAtMs()).toBeNull();
    await status(operator);
    const first = mesh.nowMs;
    expect(usedAtMs()).toBe(first);
    mesh.nowMs += 59_000;
    await status(operator);
    expect(usedAtMs()).toBe(first);
    mesh.nowMs += 1000;
    await status(operator);
    expect(usedAtMs()).toBe(first + 60_000);
  });

  it('answers on a full disk as well', async () => {
    vi.spyOn(mesh.store.apiTokens, 'used').mockImplementation(() => {
      throw new Error('database or disk is full');
    });
    for (const path of ['/v1/status', '/v1/nodes', '/v1/links']) expect(await status(operator, path)).toBe(200);
    expect(mesh.core.apiTokens.list()[0]?.lastUsedAtMs).toBeNull();
  });

  it('tells browsers to keep, guess and frame nothing', async () => {
    for (const headers of [operator, {}]) {
      expect((await api.call('GET', '/v1/status', headers)).headers).toMatchObject({
        'cache-control': 'no-store',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
      });
    }
    expect((await api.call('GET', '/v1/status', operator)).headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('speaks nothing older than TLS 1.3, and no plain HTTP', async () => {
    const socket = connect({ port: api.port, host: '127.0.0.1', ca: ca.certificatePem, maxVersion: 'TLSv1.2' });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/protocol version|handshake/i);
    const plain = connectTcp(api.port, '127.0.0.1');
    plain.write('GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    const received: Buffer[] = [];
    plain.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined);
    await once(plain, 'close');
    expect(Buffer.concat(received).toString('latin1')).not.toContain('HTTP');
    expect(await status(operator)).toBe(200);
  });

  it('ends a stream whose token is revoked', async () => {
    const stream = await api.begin('GET', '/v1/events?follow=true', { headers: operator });
    stream.resume();
    const ended = once(stream, 'end');
    api.revoke('alice');
    await ended;
    expect(await status(operator)).toBe(401);
  });

  it('changes nothing for a token that is revoked while its request is on the way', async () => {
    const headers = { ...operator, 'content-type': 'application/yaml' };
    const outgoing = await api.withoutBody('PUT', '/v1/spec', headers);
    api.revoke('alice');
    outgoing.end(SEED_SPEC);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(401);
    expect(mesh.core.spec).toBeUndefined();
    expect(mesh.core.audit.after(0, 10).at(-1)).toMatchObject({ action: 'spec.apply', outcome: 'refused' });
  });
});

describe('strangers that only connect', () => {
  const idle: Socket[] = [];

  /** More than there is room for, 256 at a time as a server's backlog has no room for them all. */
  async function connectAll(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 256) {
      const batch = Array.from({ length: Math.min(left, 256) }, () => connectTcp(api.port, '127.0.0.1'));
      for (const socket of batch) socket.on('error', () => undefined);
      idle.push(...batch);
      await Promise.all(batch.map((socket) => once(socket, 'connect')));
    }
  }

  afterEach(() => {
    for (const socket of idle.splice(0)) socket.destroy();
  });

  it('make way for an operator, and end no stream of one', async () => {
    const stream = await api.begin('GET', '/v1/events?follow=true', { headers: operator });
    stream.resume();
    await connectAll(1000);
    expect(await status(operator)).toBe(200);
    expect(stream.closed).toBe(false);
    stream.destroy();
  });

  it('do not keep the port from closing', async () => {
    await connectAll(8);
    const ended = Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
    await api[Symbol.asyncDispose]();
    await ended;
  });
});

describe('a request from a web page', () => {
  it.each([
    ['by another name', { host: 'evil.example' }, 421, 'wrong-host'],
    ['by another name, with our port', { host: 'evil.example:7444' }, 421, 'wrong-host'],
    ['by what is no name', { host: 'a b' }, 421, 'wrong-host'],
    ['of another origin', { origin: 'https://evil.example' }, 403, 'foreign-origin'],
    ['of no origin', { origin: 'null' }, 403, 'foreign-origin'],
    ['of our name over plain HTTP', { host: 'api.example', origin: 'http://api.example' }, 403, 'foreign-origin'],
    ['of another port of ours', { host: 'api.example:1', origin: 'https://api.example:2' }, 403, 'foreign-origin'],
  ])('%s is refused, even with a token', async (_what, headers, code, word) => {
    const answer = await api.call('GET', '/v1/status', { ...operator, ...headers });
    expect([answer.status, JSON.parse(answer.text)]).toMatchObject([code, { error: { code: word } }]);
    expect(mesh.core.audit.after(0, 10).at(-1)).toMatchObject({ action: 'api.use', outcome: 'refused' });
  });

  it.each([
    [{ host: 'api.example' }],
    [{ host: 'API.example:7444' }],
    [{ host: 'api.example:7444', origin: 'https://api.example:7444' }],
  ])('%j is one of ours', async (headers) => expect(await status({ ...operator, ...headers })).toBe(200));
});

describe('who fails', () => {
  const wrong = (): Record<string, string> => bearer(createToken('0'.repeat(64), 'api'));

  it.each<[string, () => Record<string, string>]>([
    ['another scheme', () => ({ authorization: operator['authorization']!.replace('Bearer', 'Basic') })],
    ['half a token', () => ({ authorization: operator['authorization']!.slice(0, -1) })],
    ['the secret alone', () => ({ authorization: `Bearer ${operator['authorization']!.split('.')[1]}` })],
  ])('with %s is told what to bring', async (_what, headers) => {
    const answer = await api.call('GET', '/v1/status', headers());
    expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
  });

  it('too often has to wait, longer each time, and then a right token does not help either', async () => {
    for (let failure = 0; failure < 6; failure += 1) expect(await status(wrong())).toBe(401);
    const answer = await api.call('GET', '/v1/status', operator);
    expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    clockMs += 1000;
    expect(await status(wrong())).toBe(401);
    clockMs += 1000;
    expect(await api.call('GET', '/v1/status', operator)).toMatchObject({
      headers: { 'retry-after': '1' },
      status: 429,
    });
    clockMs += 1000;
    expect(await status(operator)).toBe(200);
    expect(await status(wrong())).toBe(401);
    expect(await status(operator)).toBe(200);
  });

  it('a thousand times leaves a handful of records', async () => {
    const before = mesh.core.audit.head.id;
    for (let failure = 0; failure < 1000; failure += 1) {
      mesh.core.audit
        .begin('api.use', { actor: { kind: 'stranger', name: null }, remote: '192.0.2.1' })
        .refused('this API token is not known here');
    }
    expect(mesh.core.audit.head.id).toBe(before + 1);
  });
});
