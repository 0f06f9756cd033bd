import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_ROUTES } from '../../src/coordinator/api-routes.ts';
import type { ApiServer } from '../../src/coordinator/api-server.ts';
import { ROLES, suffices, type Role } from '../../src/coordinator/role.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { meshCa } from '../identity/mesh.ts';
import { bearer, RemoteApiFixture } from './api-fixture.ts';
import { CoreFixture } from './core-fixture.ts';
import { SEED_SPEC } from './spec-builders.ts';

/** Every route there is, whatever anybody adds. */
const ROUTES = [...API_ROUTES].flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, route]) => ({ method, path, role: (route as { role: Role }).role })),
);
const byPath = (a: object, b: object): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

const NOBODIES = ['no token', 'a wrong token', 'an enrolment token', 'an expired token', 'a revoked token'] as const;

let ca: MeshCa;
let mesh: CoreFixture;
let api: RemoteApiFixture;
let socket: ApiServer;
let headersOf: Record<(typeof NOBODIES)[number] | Role, Record<string, string>>;

beforeAll(async () => {
  ca = await meshCa();
  mesh = new CoreFixture(ca);
  mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
  let clockMs = 0;
  // Nobody waits here for having failed.
  api = await RemoteApiFixture.open(mesh, ca, () => (clockMs += 3_600_000));
  socket = await mesh.serveApi();
  const pin = '0'.repeat(64);
  const expired = api.token('expired', 'admin', 60);
  mesh.nowMs += 60_000;
  const revoked = api.token('revoked', 'admin');
  api.revoke('revoked');
  headersOf = {
    'no token': {},
    'a wrong token': bearer(createToken(pin, 'api')),
    'an enrolment token': bearer(createToken(pin)),
    'an expired token': bearer(expired),
    'a revoked token': bearer(revoked),
    viewer: bearer(api.token('viewer', 'viewer')),
    operator: bearer(api.token('operator', 'operator')),
    admin: bearer(api.token('admin', 'admin')),
  };
});

afterAll(async () => {
  await socket[Symbol.asyncDispose]();
  await api[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

/** Status and refusal. A body that no route takes: whoever may get there is told so, and changes nothing. */
async function outcomeOf(response: IncomingMessage): Promise<{ status: number; code: string | undefined }> {
  let text = '';
  if (response.headers['content-type'] === 'application/json') {
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  }
  response.destroy();
  const body = (text === '' ? {} : JSON.parse(text)) as { error?: { code: string } };
  return { status: response.statusCode ?? 0, code: body.error?.code };
}

const bodyFor = (method: string): string | undefined => (method === 'PUT' || method === 'POST' ? '?' : undefined);

describe.each(ROUTES)('$method $path', ({ method, path, role }) => {
  const ask = async (headers: Record<string, string>): ReturnType<typeof outcomeOf> =>
    outcomeOf(await api.begin(method, path, { headers }, bodyFor(method)));

  it.each(NOBODIES)('is refused with %s', async (who) =>
    expect(await ask(headersOf[who])).toEqual({ status: 401, code: 'unauthorized' }),
  );

  it.each(ROLES)(`asks for ${role}: %s`, async (own) => {
    const outcome = await ask(headersOf[own]);
    if (suffices(own, role)) expect([401, 403]).not.toContain(outcome.status);
    else expect(outcome).toEqual({ status: 403, code: 'forbidden' });
  });

  it('is there on the socket, whose owner may do everything', async () => {
    const outgoing = request({ socketPath: socket.socketPath, method, path, agent: false });
    outgoing.end(bodyFor(method));
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect([401, 403, 404, 405]).not.toContain((await outcomeOf(response)).status);
  });
});

describe('the routes', () => {
  it('are of all roles, and all that change something are the operator’s at least', () => {
    expect(new Set(ROUTES.map(({ role }) => role))).toEqual(new Set(ROLES));
    expect(ROUTES.filter(({ method, role }) => method !== 'GET' && role === 'viewer')).toEqual([]);
  });

  it('are in docs/operators.md with their roles', () => {
    const rows = readFileSync('docs/operators.md', 'utf8').matchAll(/^\| `([A-Z]+) (\S+)` *\| `(\w+)` *\|$/gm);
    const documented = [...rows].map(([, method, path, role]) => ({ method, path, role }));
    expect(documented.sort(byPath)).toEqual([...ROUTES].sort(byPath));
  });

  it.each(ROUTES.filter(({ method }) => method !== 'GET'))(
    'leave a record of who tried $method $path, and of nothing else',
    async ({ method, path }) => {
      mesh.core.audit.flush({ all: true });
      const before = mesh.core.audit.head.id;
      (await api.begin(method, path, { headers: headersOf.admin }, bodyFor(method))).resume();
      const { action } = (API_ROUTES.get(path) as Record<string, { action: string }>)[method]!;
      expect(mesh.core.audit.after(before, 10)).toMatchObject([
        { action, actor: { kind: 'api-token', name: 'admin' }, remote: '127.0.0.1' },
      ]);
    },
  );

  it('leave a refusal in the audit log', async () => {
    await api.call('PUT', '/v1/spec', headersOf.viewer);
    await api.call('GET', '/v1/spec', headersOf['a revoked token']);
    mesh.core.audit.flush({ all: true });
    const refused = mesh.core.audit.after(0, 10_000).filter(({ outcome }) => outcome === 'refused');
    expect(refused).toContainEqual(
      expect.objectContaining({
        action: 'spec.apply',
        target: '/v1/spec',
        actor: { kind: 'api-token', name: 'viewer' },
      }),
    );
    expect(refused).toContainEqual(
      expect.objectContaining({ action: 'api.use', target: 'revoked', actor: { kind: 'stranger', name: null } }),
    );
    expect(JSON.stringify(mesh.core.audit.after(0, 10_000))).not.toContain('cyga1');
  });
});
