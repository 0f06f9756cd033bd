import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApiServer } from '../../src/coordinator/api-server.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { CoreFixture, enrolmentRequest } from '../coordinator/core-fixture.ts';
import { edgeReport, reportOf } from '../coordinator/report-builders.ts';
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

function run(args: readonly string[], stdin = ''): Promise<Outcome> {
  return runMeshctl(['--socket', server.socketPath, ...args], { nowMs: mesh.nowMs, stdin });
}

describe('meshctl apply', () => {
  it('reads a file or standard input, and says what changed on which node', async () => {
    const first = await run(['apply', '-f', '-'], SEED_SPEC);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toBe(`revision 1 is in force and changes 3 nodes
  master1
    + cygnet-mediation
    + cygnet-mediation.again
    + cygnet-spoke-edge1
    + cygnet-spoke-remote
  edge1
    + cygnet-hub-master1
    + cygnet-medsrv-master1
    + cygnet-peer-remote
  remote
    + cygnet-hub-master1
    + cygnet-medsrv-master1
    + cygnet-peer-edge1
`);
    const file = join(mesh.folder, 'mesh.yaml');
    writeFileSync(file, SEED_SPEC);
    expect((await run(['apply', '-f', file])).stdout).toBe('nothing changed; revision 1 is in force\n');
  });

  it('with --dry-run changes nothing', async () => {
    expect((await run(['apply', '-f', '-', '--dry-run'], SEED_SPEC)).stdout).toContain('would change 3 nodes');
    expect(mesh.core.spec).toBeUndefined();
  });

  it('exits with 2 and every mistake of the spec', async () => {
    const outcome = await run(['apply', '-f', '-'], SEED_SPEC.replace('[edge1, remote]', '[edge1, egde1]'));
    expect(outcome).toEqual({
      code: 2,
      stdout: '',
      stderr: 'meshctl: the mesh spec has 1 mistake; nothing was changed\n  line 6: links[0]: unknown node "egde1"\n',
    });
  });

  it('names a file that is not there', async () => {
    expect(await run(['apply', '-f', '/nowhere/mesh.yaml'])).toMatchObject({
      code: 2,
      stderr: 'meshctl: --file /nowhere/mesh.yaml: there is no such file\n',
    });
  });
});

describe('meshctl token create', () => {
  it('prints nothing but the token on standard output', async () => {
    const outcome = await run(['token', 'create', 'edge1', '--ttl', '2h']);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/^cyg1\.[\w-]{43}\.[\w-]{43}\n$/);
    expect(outcome.stderr).toContain('the mesh spec has no node "edge1" yet');
  });

  it.each([
    [['token', 'create', 'edge1', '--ttl', 'soon'], '--ttl soon: must be a duration'],
    [['token', 'create', 'edge1', '--ttl', '5s'], '--ttl 5s: must be a duration'],
    [['token', 'create', 'Edge 1'], 'lower case letters, digits'],
    [['token', 'create'], 'say whom the token is for'],
    [['token', 'create', 'edge1', '--group', 'edges'], 'say whom the token is for'],
    [['token', 'create', 'edge1', '--uses', '2'], '--uses: only with --group'],
    [['token', 'create', '--group', 'edges', '--uses', '0'], '--uses 0: must be a number from 1 to 4000'],
    [['token', 'create', '--group', 'Edges'], 'lower case letters, digits'],
  ])('%j is bad input', async (args, message) => {
    const outcome = await run(args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain(message);
  });
});

describe('meshctl token list and revoke', () => {
  it('show tokens by their ids, never the tokens', async () => {
    const spec = SEED_SPEC.replace('{ subnets: [7.7.7', '{ groups: [edges], subnets: [7.7.7');
    mesh.core.rollout.apply(spec, { dryRun: false });
    const secret = (await run(['token', 'create', 'edge1'])).stdout.trim();
    const created = await run(['token', 'create', '--group', 'edges', '--uses', '3', '--ttl', '1h', '--json']);
    expect(created.stderr).toContain('for 3 uses; on a node of the group run: agentctl enroll --name NODE');
    const { id, inSpec } = JSON.parse(created.stdout) as { id: string; inSpec: boolean };
    expect(inSpec).toBe(true);
    const listed = (await run(['token', 'list'])).stdout;
    expect(listed.split('\n')[1]).toMatch(new RegExp(`^${id} +group edges +3 of 3 +in 1 h 0 min +usable$`));
    expect(listed).toMatch(/node edge1 +1 of 1 +in /);
    expect(listed).not.toContain(secret.split('.')[1]);

    expect((await run(['token', 'revoke', id])).stdout).toBe(`token ${id} is revoked\n`);
    expect((await run(['token', 'revoke', id])).code).toBe(0);
    expect((await run(['token', 'list'])).stdout).toContain('revoked');
    const { tokens } = JSON.parse((await run(['token', 'list', '--json'])).stdout) as { tokens: unknown[] };
    expect(tokens).toHaveLength(2);
  });

  it('say what is wrong', async () => {
    expect((await run(['token', 'list'])).stdout).toContain('no tokens');
    const outcome = await run(['token', 'revoke', '0123456789ab']);
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no token 0123456789ab') });
  });
});

describe('meshctl node', () => {
  it('revoke throws a node out, and nodes says since when and why', async () => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    await mesh.enrol('edge1');
    const revoked = await run(['node', 'revoke', 'edge1', '--reason', 'stolen']);
    expect(revoked).toMatchObject({ code: 0, stderr: '' });
    expect(revoked.stdout).toContain('edge1 is revoked');
    expect((await run(['node', 'revoke', 'edge1'])).stdout).toContain('was revoked before');
    expect((await run(['nodes'])).stdout).toContain(`edge1    no      -       -/2         revoked       -             -
    revoked 2023-11-14T22:13:20.000Z: stolen; meshctl node readmit edge1 lifts it
`);
    const token = await run(['token', 'create', 'edge1']);
    expect(token).toMatchObject({ code: 1, stderr: expect.stringContaining('run meshctl node readmit edge1 first') });
  });

  it('readmit lets it enrol again', async () => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    await mesh.enrol('edge1');
    await run(['node', 'revoke', 'edge1']);
    const readmitted = await run(['node', 'readmit', 'edge1', '--json']);
    expect(JSON.parse(readmitted.stdout)).toMatchObject({ node: 'edge1', changed: true, unsigned: [] });
    expect((await run(['node', 'readmit', 'edge1'])).stdout).toBe('edge1 is not revoked\n');
    expect((await run(['nodes'])).stdout).toContain('run here: meshctl token create edge1');
    expect((await run(['token', 'create', 'edge1'])).code).toBe(0);
  });

  it.each([
    [['node', 'revoke', 'egde1'], 1, 'there is no node "egde1"'],
    [['node', 'revoke', 'Edge 1'], 2, 'lower case letters, digits'],
    [['node', 'revoke', 'edge1', '--reason', ''], 2, 'reason'],
  ])('%j fails with %i', async (args, code, message) => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    expect(await run(args)).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('meshctl nodes', () => {
  it('shows each node, what is wrong with it, and what to do', async () => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    await mesh.enrol('edge1');
    await mesh.enrol('master1');
    const edge1 = mesh.connect('edge1');
    mesh.core.channels.received(edge1, { type: 'report', report: reportOf() });
    const outcome = { resource: 'cygnet-peer-remote', ok: false, message: 'unknown option: \u001B[31mx' };
    mesh.core.channels.received(edge1, {
      type: 'nack',
      epoch: mesh.store.signing.epoch,
      generation: 1,
      outcomes: [outcome],
    });
    const master1 = mesh.connect('master1');
    mesh.core.channels.received(master1, { type: 'ack', epoch: mesh.store.signing.epoch, generation: 1, outcomes: [] });
    mesh.core.channels.closed(master1);
    mesh.nowMs += 90_000;
    expect((await run(['nodes'])).stdout)
      .toBe(`NODE     ONLINE  CHARON  GENERATION  STATE         CERTIFICATES     LAST SEEN
edge1    yes     5.9.8   -/1         refused       6 days, 29 days  now
    cygnet-peer-remote: unknown option: ?[31mx
master1  no      -       1/1         offline       6 days, 29 days  1 min ago
remote   no      -       -/1         not enrolled  -                -
    run here: meshctl token create remote; then on remote: agentctl enroll
`);
  });

  it('shows whose certificates have expired, and that the CA ends', async () => {
    await mesh.enrol('edge1');
    mesh.nowMs += 8 * 86_400_000;
    expect((await run(['nodes'])).stdout).toContain('expired, 22 days');
    expect((await run(['nodes'])).stdout).not.toContain('the mesh CA');
    mesh.nowMs = Date.now() + 3_600 * 86_400_000;
    expect((await run(['nodes'])).stdout).toMatch(/^the mesh CA is valid until .*, and no certificate beyond that/m);
  });

  it('shows whose IKE certificate is placed, and when that ends as far as the node says so', async () => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    const { token } = mesh.core.tokens.issue('edge1' as NodeName, 3600);
    const { ikeCsr: _none, ...request } = await enrolmentRequest(token);
    await mesh.core.channels.enroll(request, '192.0.2.7');
    await mesh.enrol('remote');
    expect((await run(['nodes'])).stdout).toMatch(/^edge1 .* 7 days, placed +-$/m);
    for (const [node, days] of [['edge1', 365] as const, ['remote', 0] as const]) {
      const placedIke = { notAfterMs: mesh.nowMs + days * 86_400_000 };
      mesh.core.channels.received(mesh.connect(node), { type: 'report', report: { ...reportOf(), placedIke } });
    }
    expect((await run(['nodes'])).stdout).toMatch(/^edge1 .* 7 days, placed 365 days +now$/m);
    // It was given one of the mesh's before, which nothing uses.
    expect((await run(['nodes'])).stdout).toMatch(/^remote .* 7 days, placed expired +now$/m);
  });

  it('says how to begin', async () => {
    expect((await run(['nodes'])).stdout).toContain('meshctl apply -f FILE');
  });
});

describe('meshctl links', () => {
  it('shows the path that both ends see, or both when they differ', async () => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    await mesh.enrol('edge1');
    await mesh.enrol('remote');
    const told = edgeReport(true, { 'edge1--remote': 1 });
    mesh.core.channels.received(mesh.connect('edge1'), { type: 'report', report: told });
    mesh.nowMs = 65_000;
    expect((await run(['links'])).stdout.split('\n').slice(0, 3)).toEqual([
      'LINK             PATH                                    SINCE  ROUND TRIP  CAUSE          PROBLEM',
      'edge1--master1   edge1: not known yet, master1: offline  -      -',
      'edge1--remote    edge1: relay, remote: offline           1 min  -           symmetric-nat  edge1: symmetric NAT',
    ]);
    mesh.core.channels.received(mesh.connect('remote'), { type: 'report', report: told });
    expect((await run(['links'])).stdout).toMatch(/^edge1--remote +relay +1 min/m);
  });
});

describe('meshctl events', () => {
  it('prints what happened, as text or JSON', async () => {
    await mesh.enrol('edge1');
    expect((await run(['events'])).stdout.split('\n')).toEqual([
      '1  2023-11-14T22:13:20.000Z  edge1  token        enrolment token made',
      '2  2023-11-14T22:13:20.000Z  edge1  enrol        enrolled from 192.0.2.7',
      '',
    ]);
    expect(JSON.parse((await run(['events', '--since', '1', '--json'])).stdout)).toMatchObject({
      id: 2,
      kind: 'enrol',
    });
  });
});

describe('meshctl', () => {
  it.each(['nodes', 'links'])('%s --json is the API’s own answer', async (command) => {
    mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
    expect(JSON.parse((await run([command, '--json'])).stdout)).toMatchObject({ [command]: [{}, {}, {}] });
  });

  it('says that the coordinator is not running, at which socket, and how to look at it', async () => {
    const socket = join(mesh.folder, 'other.sock');
    const { code, stderr } = await runMeshctl(['--socket', socket, 'nodes'], { nowMs: 0 });
    expect([code, stderr]).toEqual([
      1,
      `meshctl: cygnet-coordinator is not running: nothing listens on ${socket}\n  see: systemctl status cygnet-coordinator\n`,
    ]);
  });

  it('prints both versions, its own also without a coordinator', async () => {
    expect((await run(['version'])).stdout).toMatch(/^meshctl \d+\.\d+\.\d+\ncoordinator 1\.2\.3\n$/);
    await server[Symbol.asyncDispose]();
    expect(await run(['version'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('cannot be reached') as string,
    });
  });

  it.each([['--help'], ['apply', '--help'], ['token', 'create', '--help'], ['events', '--help']])(
    'explains itself: %s %s',
    async (...args) => {
      const outcome = await run(args.filter((arg) => arg !== undefined));
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toContain('Usage: meshctl');
    },
  );

  it.each([['aply'], ['apply'], ['nodes', '--jsn']])('a slip in %j is bad input', async (...args) => {
    expect(await run(args)).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('meshctl backup', () => {
  it('writes a new file that only its owner can read', async () => {
    const file = join(mesh.folder, 'backup');
    const { code, stdout } = await run(['backup', file, '--json']);
    expect(code).toBe(0);
    const { size, mode } = statSync(file);
    expect(JSON.parse(stdout)).toEqual({ file, bytes: size, withKeys: false });
    expect(mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'latin1').slice(0, 15)).toBe('SQLite format 3');
  });

  it('says whether the keys are in it', async () => {
    const { stdout } = await run(['backup', join(mesh.folder, 'backup'), '--with-keys']);
    expect(stdout).toMatch(/backup: \d+ bytes, with the keys of the mesh/);
  });

  it('overwrites nothing', async () => {
    const file = join(mesh.folder, 'there');
    writeFileSync(file, 'precious');
    const { code, stderr } = await run(['backup', file]);
    expect(code).toBe(2);
    expect(stderr).toContain('is there already');
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });

  it('leaves nothing behind where it cannot be written or is not sent', async () => {
    expect(await run(['backup', '/nowhere/backup'])).toMatchObject({ code: 2 });
    const other = mesh.core.backup({ withKeys: false });
    const { code, stderr } = await run(['backup', join(mesh.folder, 'backup')]);
    expect(code).toBe(1);
    expect(stderr).toContain('another backup is being made');
    expect(readdirSync(mesh.folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    other?.stream.destroy();
  });
});
