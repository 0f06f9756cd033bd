import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import LibsqlDatabase from 'libsql';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { auditRecordSchema, type AuditRecord } from '../../src/coordinator/api.ts';
import type { ApiServer } from '../../src/coordinator/api-server.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { RemoteApiFixture } from '../coordinator/api-fixture.ts';
import { CoreFixture } from '../coordinator/core-fixture.ts';
import { SEED_SPEC } from '../coordinator/spec-builders.ts';
import { meshCa } from '../identity/mesh.ts';
import { runMeshctl, type Outcome } from './run-meshctl.ts';

let ca: MeshCa;
let mesh: CoreFixture;
let server: ApiServer;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(async () => {
  mesh = new CoreFixture(ca);
  server = await mesh.serveApi();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

const runAnywhere = (args: readonly string[]): Promise<Outcome> =>
  runMeshctl(args, { nowMs: mesh.nowMs, stdin: SEED_SPEC });
const run = (...args: readonly string[]): Promise<Outcome> => runAnywhere(['--socket', server.socketPath, ...args]);

describe('meshctl api-token', () => {
  it('create prints the token alone, once', async () => {
    const { code, stdout, stderr } = await run('api-token', 'create', 'alice', '--role', 'operator', '--ttl', '30d');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^cyga1\.[\w-]{43}\.[\w-]{43}\n$/)]);
    expect(stderr).toMatch(
      /^operator until 20.*Z; use it with: meshctl --server https:\/\/HOST:PORT --token-file FILE\n$/,
    );
    expect((await run('api-token', 'list', '--json')).stdout).not.toContain(stdout.split('.')[1]);
  });

  it('list shows who has which role, until when', async () => {
    expect((await run('api-token', 'list')).stdout).toBe(
      'no API tokens: meshctl api-token create NAME --role ROLE makes one\n',
    );
    await run('api-token', 'create', 'ci', '--role', 'viewer', '--ttl', '1h');
    await run('api-token', 'create', 'alice', '--role', 'admin');
    mesh.nowMs += 3_600_000;
    await run('api-token', 'revoke', 'alice');
    expect((await run('api-token', 'list')).stdout).toBe(
      `NAME   ROLE    STATE    EXPIRES  LAST USED
alice  admin   revoked  -        never
ci     viewer  expired  -        never
`,
    );
  });

  it('revoke may be repeated, and knows who is not there', async () => {
    await run('api-token', 'create', 'ci', '--role', 'viewer');
    for (let time = 0; time < 2; time += 1) {
      expect(await run('api-token', 'revoke', 'ci')).toMatchObject({ code: 0, stdout: 'API token ci is revoked\n' });
    }
    expect(await run('api-token', 'revoke', 'cd')).toMatchObject({
      code: 1,
      stderr: 'meshctl: there is no token "cd"\n',
    });
  });

  it('a name can be given again once its token is of no use', async () => {
    await run('api-token', 'create', 'ci', '--role', 'viewer');
    expect(await run('api-token', 'create', 'ci', '--role', 'viewer')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is a token "ci" already') as string,
    });
    await run('api-token', 'revoke', 'ci');
    expect(await run('api-token', 'create', 'ci', '--role', 'viewer')).toMatchObject({ code: 0 });
  });

  it.each([
    [['create', 'ci'], "required option '--role <role>' not specified"],
    [['create', 'ci', '--role', 'root'], '--role root: must be one of viewer, operator, admin'],
    [['create', 'ci', '--role', 'viewer', '--ttl', '2y'], '--ttl 2y: must be a duration from 1m to 366d'],
    [['create', 'C I', '--role', 'viewer'], 'name: lower case letters, digits'],
  ])('%j is the user’s mistake', async (args, message) =>
    expect(await run('api-token', ...args)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message) as string,
    }),
  );
});

describe('meshctl --server', () => {
  let api: RemoteApiFixture;
  let url: string;

  beforeEach(async () => {
    api = await RemoteApiFixture.open(mesh, ca, () => 0);
    url = `https://127.0.0.1:${api.port}`;
  });

  afterEach(() => api[Symbol.asyncDispose]());

  function tokenFile(token: string, mode = 0o600): string {
    const file = join(mesh.folder, 'token');
    writeFileSync(file, `${token}\n`);
    chmodSync(file, mode);
    return file;
  }

  it('does from elsewhere what the token’s role allows', async () => {
    const remote = ['--server', url, '--token-file', tokenFile(api.token('alice', 'operator'))];
    expect(await runAnywhere([...remote, 'apply', '-f', '-'])).toMatchObject({ code: 0 });
    expect((await runAnywhere([...remote, 'links'])).stdout).toContain('edge1--remote');
    expect((await runAnywhere([...remote, 'events', '--since', '0'])).stdout).toContain('mesh spec revision 1');
    expect(await runAnywhere([...remote, 'audit', 'list'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'meshctl: this needs the role admin, and the token has the role operator\n',
    });
  });

  it('can be said by the environment, which a --socket outdoes', async () => {
    vi.stubEnv('CYGNET_SERVER', url);
    vi.stubEnv('CYGNET_TOKEN_FILE', tokenFile(api.token('alice', 'viewer')));
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await runAnywhere(['nodes'])).toMatchObject({ code: 0 });
    expect(mesh.core.apiTokens.list()[0]?.lastUsedAtMs).toBe(mesh.nowMs);
    expect(await run('audit', 'list')).toMatchObject({ code: 0 });
  });

  it('shows the token to no server but the one that it pins', async () => {
    const other = createToken('0'.repeat(64), 'api');
    const outcome = await runAnywhere(['--server', url, '--token-file', tokenFile(other), 'nodes']);
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining("not of the token's mesh") as string });
    mesh.core.audit.flush({ all: true });
    expect(mesh.core.audit.after(0, 10)).toEqual([]);
  });

  it('says what is wrong with a token that is no longer good', async () => {
    const file = tokenFile(api.token('alice', 'viewer'));
    api.revoke('alice');
    expect(await runAnywhere(['--server', url, '--token-file', file, 'nodes'])).toMatchObject({
      code: 1,
      stderr: 'meshctl: this API token was revoked\n',
    });
  });

  it.each<[string, () => string[], string]>([
    ['another scheme', () => ['--server', 'http://127.0.0.1:1'], 'must be https://HOST:PORT'],
    ['a path', () => ['--server', `${url}/v1`], 'must be https://HOST:PORT'],
    ['no token', () => ['--server', url], 'needs --token-file FILE'],
    ['a token file that is not there', () => ['--server', url, '--token-file', '/nowhere'], 'ENOENT'],
    ['a token file that others can read', () => ['--server', url, '--token-file', tokenFile('x', 0o640)], 'chmod 600'],
    ['no token in the file', () => ['--server', url, '--token-file', tokenFile('cyg1.a.b')], 'not an API token'],
    ['a socket as well', () => ['--server', url, '--socket', '/x'], 'one of the two'],
  ])('with %s is the user’s mistake', async (_what, args, message) => {
    expect(await runAnywhere([...args(), 'nodes'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(message) as string,
    });
  });
});

describe('meshctl audit', () => {
  const file = (): string => join(mesh.folder, 'audit.ndjson');

  beforeEach(async () => {
    await run('apply', '-f', '-');
    await run('token', 'create', 'edge1');
    await run('token', 'create', 'Edge');
    await run('token', 'create', 'remote');
  });

  const exported = (): AuditRecord[] =>
    readFileSync(file(), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => auditRecordSchema.parse(JSON.parse(line)));

  const put = (records: readonly object[]): void =>
    writeFileSync(file(), records.map((record) => `${JSON.stringify(record)}\n`).join(''));

  it('list shows who did what, and who was refused', async () => {
    const { stdout } = await run('audit', 'list');
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^1 {2}20\S+Z {2}socket {2}spec\.apply {2}done {2}.*changedNodes=3 revision=1 specSha256=/),
      expect.stringMatching(/^2 {2}\S+ {2}socket {2}token\.create {2}edge1 {2}done {2}ttlSeconds=86400/),
      expect.stringMatching(/^3 {2}\S+ {2}socket {2}token\.create {2}refused {2}the body of this request is wrong/),
      expect.stringMatching(/^4 .*remote {2}done/),
      '',
    ]);
    expect((await run('audit', 'list', '--after', '3', '--json')).stdout.split('\n')).toHaveLength(2);
  });

  it('verify finds a whole log whole, and prints the hash to remember', async () => {
    const { hash } = mesh.core.audit.head;
    expect(await run('audit', 'verify')).toEqual({
      code: 0,
      stdout: `records 1 to 4 are whole; the last has the hash ${hash}\n`,
      stderr: '',
    });
    expect(await run('audit', 'verify', '--head', hash)).toMatchObject({ code: 0 });
    expect(await run('audit', 'verify', '--head', 'f'.repeat(64))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the end is missing') as string,
    });
  });

  it('export writes a file that can be checked anywhere, and replaces none', async () => {
    expect((await run('audit', 'export', file())).stdout).toContain('records 1 to 4 are whole');
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect((await runAnywhere(['audit', 'verify', file()])).code).toBe(0);
    expect(await run('audit', 'export', file())).toMatchObject({ code: 2 });
    expect(exported()).toHaveLength(4);
  });

  it.each<[string, (records: AuditRecord[]) => readonly object[], string]>([
    ['changed', ([a, b, ...rest]) => [a!, { ...b!, target: 'edge2' }, ...rest], 'record 2 was changed'],
    ['removed', (records) => records.toSpliced(1, 1), 'record 1 is followed by record 3'],
    ['moved', ([a, b, c, d]) => [a!, c!, b!, d!], 'record 1 is followed by record 3'],
    ['doubled', ([a, ...rest]) => [a!, a!, ...rest], 'record 1 is followed by record 1'],
    ['renumbered', ([a, , c]) => [a!, { ...c!, id: 2 }], 'record 2 does not follow record 1 as it is here'],
    [
      'put before the first',
      ([a, ...rest]) => [{ ...a!, previous: 'f'.repeat(64) }, ...rest],
      'record 1 does not follow',
    ],
  ])('verify finds a record that was %s', async (_what, change, problem) => {
    await run('audit', 'export', file());
    put(change(exported()));
    expect(await runAnywhere(['audit', 'verify', file()])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(problem) as string,
    });
  });

  it('verify finds a cut end by a hash that was remembered', async () => {
    await run('audit', 'export', file());
    const { hash } = exported().at(-1)!;
    put(exported().slice(0, -1));
    expect((await runAnywhere(['audit', 'verify', file()])).code).toBe(0);
    expect((await runAnywhere(['audit', 'verify', file(), '--head', hash])).code).toBe(1);
  });

  it('verify finds what was done to the database', async () => {
    await server[Symbol.asyncDispose]();
    mesh.core.flush();
    mesh.store.close();
    const raw = new LibsqlDatabase(join(mesh.folder, 'coordinator.db'));
    raw.exec(`DROP TRIGGER audit_never_changes;
      UPDATE audit SET record = replace(record, '"edge1"', '"edge2"') WHERE id = 2`);
    raw.close();
    mesh.restart();
    server = await mesh.serveApi();
    expect(await run('audit', 'verify')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('record 2 was changed') as string,
    });
  });

  it('prune forgets what was exported, and the rest is still whole', async () => {
    await run('audit', 'export', file());
    expect(await run('audit', 'prune', file())).toMatchObject({
      code: 0,
      stdout: 'the audit log begins after record 4 now\n',
    });
    await run('token', 'create', 'edge1');
    expect((await run('audit', 'verify')).stdout).toContain('records 5 to 6 are whole');
    const next = join(mesh.folder, 'next.ndjson');
    await run('audit', 'export', next);
    expect((await runAnywhere(['audit', 'verify', file(), next])).stdout).toContain('records 1 to 6 are whole');
    expect((await runAnywhere(['audit', 'verify', next])).stdout).toContain('records 5 to 6 are whole');
  });

  it('prune does not forget for a file that is not whole, or of another log', async () => {
    await run('audit', 'export', file());
    const records = exported();
    put(records.toSpliced(1, 1));
    expect(await run('audit', 'prune', file())).toMatchObject({ code: 2 });
    put(records);
    mesh.nowMs += 1;
    const other = new CoreFixture(ca);
    onTestFinished(() => other[Symbol.dispose]());
    other.nowMs = mesh.nowMs;
    const elsewhere = await other.serveApi();
    onTestFinished(() => elsewhere[Symbol.asyncDispose]());
    for (let index = 0; index < 4; index += 1)
      await runAnywhere(['--socket', elsewhere.socketPath, 'token', 'create', 'x']);
    expect(await runAnywhere(['--socket', elsewhere.socketPath, 'audit', 'prune', file()])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('record 4 is another one here') as string,
    });
    expect(other.core.audit.start.id).toBe(0);
    expect(mesh.core.audit.start.id).toBe(0);
  });

  it.each([
    [['list', '--after', 'x'], '--after x: must be the id of a record'],
    [['verify', '--head', 'x'], '--head: must be a hash'],
    [['verify', '/nowhere'], 'ENOENT'],
    [['prune', '/nowhere'], 'ENOENT'],
    [['export', '/nowhere/file'], 'ENOENT'],
  ])('%j is the user’s mistake', async (args, message) => {
    expect(await run('audit', ...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as string });
    expect(existsSync(file())).toBe(false);
  });

  it('names the line of a file that is no audit record', async () => {
    await run('audit', 'export', file());
    put([...exported(), { id: 5 }]);
    expect(await runAnywhere(['audit', 'verify', file()])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('line 5: not an audit record') as string,
    });
  });
});
