import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { meshEventSchema, SPEC_CONTENT_TYPE, specReplySchema } from '../../src/coordinator/api.ts';
import { StoreError } from '../../src/coordinator/database.ts';
import type { ApiServer } from '../../src/coordinator/api-server.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { CliError } from '../../src/cli/cli-error.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { meshCa } from '../identity/mesh.ts';
import { CoreFixture } from './core-fixture.ts';
import { SEED_SPEC } from './spec-builders.ts';

let ca: MeshCa;
let mesh: CoreFixture;
let server: ApiServer;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(async () => {
  mesh = new CoreFixture(ca);
  server = await open();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

function open(socketPath = join(mesh.folder, 'run', 'api.sock')): Promise<ApiServer> {
  return mesh.serveApi(socketPath);
}

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

const contentTypeOf = (path: string): string => (path.startsWith('/v1/spec') ? SPEC_CONTENT_TYPE : 'application/json');

async function call(method: string, path: string, body?: string, more: Record<string, string> = {}): Promise<Answer> {
  const headers = body === undefined ? more : { 'content-type': contentTypeOf(path), ...more };
  const outgoing = request({ socketPath: server.socketPath, method, path, headers, agent: false });
  // Node tells of a long write that the server's answer has overtaken, though all of it has arrived.
  outgoing.on('error', () => undefined);
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  return { status: response.statusCode, text };
}

async function json(
  method: string,
  path: string,
  body?: string,
  headers?: Record<string, string>,
): Promise<{ status: number | undefined; body: unknown }> {
  const { status, text } = await call(method, path, body, headers);
  return { status, body: JSON.parse(text) };
}

const events = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => meshEventSchema.parse(JSON.parse(line)));

describe('the socket', () => {
  it('is the owner’s alone', () => {
    expect(statSync(server.socketPath).mode & 0o777).toBe(0o600);
  });

  it('is not taken from a coordinator that lives', async () => {
    await expect(open()).rejects.toThrow(`another process serves ${server.socketPath}`);
    expect((await call('GET', '/v1/status')).status).toBe(200);
  });

  it('is taken over from one that was killed', async () => {
    const path = join(mesh.folder, 'stale.sock');
    const killed = createServer().listen(path);
    await once(killed, 'listening');
    // Closing would remove the file: a process that is killed leaves it.
    const stale = join(mesh.folder, 'left.sock');
    renameSync(path, stale);
    killed.close();
    await using taken = await open(stale);
    expect(taken.socketPath).toBe(stale);
  });

  it('does not replace a file that is no socket', async () => {
    const path = join(mesh.folder, 'file');
    writeFileSync(path, 'precious');
    await expect(open(path)).rejects.toThrow(`${path} is taken: it is no socket`);
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });
});

describe('the spec', () => {
  it('is applied, and can be read back', async () => {
    expect(await json('GET', '/v1/spec')).toMatchObject({ status: 404, body: { error: { code: 'not-found' } } });
    const applied = await json('PUT', '/v1/spec', SEED_SPEC);
    expect(applied).toMatchObject({ status: 200, body: { revision: 1, dryRun: false } });
    const { body } = await json('GET', '/v1/spec');
    expect(specReplySchema.parse(body)).toEqual({ revision: 1, appliedAtMs: mesh.nowMs, text: SEED_SPEC });
    expect(await json('PUT', '/v1/spec', SEED_SPEC)).toMatchObject({ body: { revision: 1, changed: [] } });
  });

  it('is only tried with dryRun', async () => {
    expect(await json('PUT', '/v1/spec?dryRun=true', SEED_SPEC)).toMatchObject({ body: { revision: 0, dryRun: true } });
    expect(mesh.core.spec).toBeUndefined();
    expect(await json('PUT', '/v1/spec?dryrun=true', SEED_SPEC)).toMatchObject({ status: 400 });
    expect(mesh.core.spec).toBeUndefined();
  });

  it('is refused in words when the disk is full, and then the old one is in force', async () => {
    await json('PUT', '/v1/spec', SEED_SPEC);
    vi.spyOn(mesh.store.mesh, 'apply').mockImplementationOnce(() => {
      throw new StoreError('not-written', 'database or disk is full');
    });
    expect(await json('PUT', '/v1/spec', `${SEED_SPEC}# more\n`)).toMatchObject({
      status: 507,
      body: {
        error: {
          code: 'not-written',
          message: expect.stringMatching(/^nothing was changed, .*\(database or disk is full\): see how full/),
        },
      },
    });
    expect(await json('GET', '/v1/spec')).toMatchObject({ body: { revision: 1, text: SEED_SPEC } });
    expect(await json('PUT', '/v1/spec', `${SEED_SPEC}# more\n`)).toMatchObject({ status: 200, body: { revision: 2 } });
  });

  it('is refused with every mistake and its line', async () => {
    const text = SEED_SPEC.replace('[edge1, remote]', '[edge1, egde1]').replace('7.7.8.0/24', '7.7.8.1/24');
    expect(await json('PUT', '/v1/spec', text)).toMatchObject({
      status: 400,
      body: {
        error: {
          code: 'spec-refused',
          message: 'the mesh spec has 1 mistake; nothing was changed',
          details: [expect.stringContaining('line 4: nodes.remote.subnets[0]: not a network')],
        },
      },
    });
    expect(await json('PUT', '/v1/spec', 'x'.repeat(1024 * 1024 + 1))).toMatchObject({ status: 400 });
    expect(await json('PUT', '/v1/spec', 'x'.repeat(2 * 1024 * 1024))).toMatchObject({
      status: 413,
      body: { error: { code: 'too-large' } },
    });
  });
});

describe('requests', () => {
  it.each<[string, string, string | undefined, number, string]>([
    ['GET', '/nothing', undefined, 404, 'not-found'],
    ['GET', '/v1/spec?x=1', undefined, 400, 'bad-request'],
    ['DELETE', '/v1/spec', undefined, 405, 'bad-method'],
    ['POST', '/v1/status', '', 405, 'bad-method'],
    ['POST', '/v1/tokens', 'not json', 400, 'bad-request'],
    ['POST', '/v1/tokens', '{"node":"Edge","ttlSeconds":60}', 400, 'bad-request'],
    ['POST', '/v1/tokens', '{"node":"edge1","ttlSeconds":1}', 400, 'bad-request'],
    ['GET', '/v1/events?since=x', undefined, 400, 'bad-request'],
  ])('%s %s is refused', async (method, path, body, status, code) => {
    expect(await json(method, path, body)).toMatchObject({ status, body: { error: { code } } });
  });

  it.each<[string, string, string, Record<string, string>, number, string]>([
    [
      'a spec that does not say that it is YAML',
      '/v1/spec',
      'PUT',
      { 'content-type': 'text/plain' },
      415,
      'bad-content-type',
    ],
    [
      'a token that is sent as a form',
      '/v1/tokens',
      'POST',
      { 'content-type': 'multipart/form-data' },
      415,
      'bad-content-type',
    ],
    ['what a web page sends', '/v1/spec', 'PUT', { origin: 'https://evil.example' }, 403, 'foreign-origin'],
  ])('%s is refused', async (_what, path, method, headers, status, code) => {
    expect(await json(method, path, SEED_SPEC, headers)).toMatchObject({ status, body: { error: { code } } });
    expect(mesh.core.spec).toBeUndefined();
  });

  it('with more headers than anybody needs are refused', async () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`x-${index}`, 'y']));
    expect((await call('GET', '/v1/status', undefined, many)).status).toBe(431);
  });

  it('that change something are in the audit log, and so are those that were refused', async () => {
    await json('PUT', '/v1/spec', 'nodes: 7');
    await json('PUT', '/v1/spec', SEED_SPEC);
    await json('PUT', '/v1/spec?dryRun=true', SEED_SPEC);
    await json('POST', '/v1/tokens', '{"node":"edge1","ttlSeconds":60}');
    await json('GET', '/v1/status');
    expect(mesh.core.audit.after(0, 100)).toMatchObject([
      { action: 'spec.apply', outcome: 'refused', reason: expect.stringContaining('nothing was changed') as string },
      { action: 'spec.apply', outcome: 'done', actor: { kind: 'socket' }, details: { revision: 1, changedNodes: 3 } },
      { action: 'token.create', outcome: 'done', target: 'edge1', details: { ttlSeconds: 60 } },
    ]);
  });

  it('that are no HTTP end with an error, and leave the server running', async () => {
    const socket = connect(server.socketPath);
    socket.write('\u0000\u0001 nonsense\r\n\r\n');
    await once(socket.resume(), 'close');
    expect((await call('GET', '/v1/status')).status).toBe(200);
  });
});

describe('tokens', () => {
  it('are shown once, and only their hash is kept', async () => {
    const { body } = await json('POST', '/v1/tokens', '{"node":"edge1","ttlSeconds":60}');
    const { token } = z.object({ token: z.string() }).parse(body);
    expect(body).toMatchObject({ node: 'edge1', expiresAtMs: mesh.nowMs + 60_000, inSpec: false });
    expect(token).toMatch(/^cyg1\./);
    expect((await call('GET', '/v1/events')).text).not.toContain(token.split('.')[1]);
  });
});

describe('events', () => {
  let before: number;
  let told: (count: number) => void;

  beforeEach(async () => {
    await mesh.enrol('edge1');
    const channel = mesh.connect('edge1');
    before = mesh.core.events.lastId;
    const event = { atMs: mesh.nowMs, kind: 'path', connection: null, child: null, message: 'direct' };
    told = (count) =>
      mesh.core.channels.received(channel, { type: 'events', events: Array.from({ length: count }, () => event) });
  });

  it('without since are the newest 200; with it all that came after', async () => {
    told(250);
    expect(events((await call('GET', '/v1/events')).text).map(({ id }) => id)[0]).toBe(before + 51);
    expect(events((await call('GET', '/v1/events?since=0')).text)).toHaveLength(before + 250);
    expect((await call('GET', `/v1/events?since=${before + 250}`)).text).toBe('');
  });

  it('with follow come as they happen, until the client has enough', async () => {
    told(1);
    const api = new LocalApi({ socketPath: server.socketPath, service: 'cygnet-coordinator' });
    const received: number[] = [];
    for await (const { id } of api.stream(`/v1/events?follow=true&since=${before}`, meshEventSchema)) {
      if (received.push(id) === 1) told(1199);
      if (received.length === 1200) break;
    }
    expect(received).toEqual(received.map((_, index) => before + index + 1));
  });

  it('that could not be written are not waited for', async () => {
    told(1);
    vi.spyOn(mesh.store.observations, 'write').mockImplementationOnce(() => expect.fail('disk full'));
    mesh.core.flush();
    const api = new LocalApi({ socketPath: server.socketPath, service: 'cygnet-coordinator' });
    const events = api.stream(`/v1/events?follow=true&since=${before}`, meshEventSchema);
    const first = events.next();
    // Answered by the same process: it must not be going round in circles.
    expect(await json('GET', '/v1/status')).toMatchObject({ status: 200 });
    told(1);
    expect(await first).toMatchObject({ value: { id: before + 2 } });
    await events.return(undefined);
  });

  it('with follow end when the server does', async () => {
    told(1);
    const api = new LocalApi({ socketPath: server.socketPath, service: 'cygnet-coordinator' });
    const events = api.stream(`/v1/events?follow=true&since=${before}`, meshEventSchema);
    await events.next();
    const closing = server[Symbol.asyncDispose]();
    await expect(events.next().catch((error: unknown) => error)).resolves.toSatisfy(
      (end: unknown) => end instanceof CliError || (end as IteratorResult<unknown>).done === true,
    );
    await closing;
  });
});
