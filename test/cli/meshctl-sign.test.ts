import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApiServer } from '../../src/coordinator/api-server.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { claimIn } from '../control/statements.ts';
import { CoreFixture } from '../coordinator/core-fixture.ts';
import { SEED_SPEC } from '../coordinator/spec-builders.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { meshCa } from '../identity/mesh.ts';
import { runMeshctl, type Outcome } from './run-meshctl.ts';

let ca: MeshCa;
let folder: string;
let mesh: CoreFixture;
let server: ApiServer;

beforeAll(async () => {
  ca = await meshCa();
});

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
});

async function serve(offlineKey?: string): Promise<void> {
  mesh = new CoreFixture(ca, offlineKey);
  server = await mesh.serveApi();
}

function run(args: readonly string[], stdin = ''): Promise<Outcome> {
  return runMeshctl(['--socket', server.socketPath, ...args], { nowMs: mesh.nowMs, stdin });
}

const key = (): string => join(folder, 'mesh.key');

/** A coordinator whose key is in the operator's keeping. */
async function withOfflineKey(): Promise<void> {
  await serve();
  expect(await run(['signing-key', 'create', '--out', key()])).toMatchObject({ code: 0, stderr: '' });
  await server[Symbol.asyncDispose]();
  mesh[Symbol.dispose]();
  await serve(`${key()}.pub`);
}

describe('meshctl sign', () => {
  beforeEach(withOfflineKey);

  it('shows what changes, asks, signs and hands in', async () => {
    const applied = await run(['apply', '-f', '-'], SEED_SPEC);
    expect(applied.stdout).toContain('3 nodes are told nothing until it is signed: meshctl sign --key FILE\n');
    const refused = await run(['sign', '--key', key()], 'n\n');
    expect(refused).toMatchObject({ code: 0, stderr: 'sign this? [y/N] ' });
    expect(refused.stdout).toMatch(/^3 states wait for a signature\n {2}edge1, generation 1, [0-9a-f]{16}\n/);
    expect(refused.stdout).toContain('    + cygnet-hub-master1\n');
    const channel = mesh.connect('edge1');
    expect((await run(['sign', '--key', key()], 'y\n')).stdout).toContain('signed for 3 nodes\n');
    expect(claimIn(channel.last('snapshot')!)).toMatchObject({ node: 'edge1', generation: 1, notAfterMs: null });
    expect((await run(['sign', '--key', key()])).stdout).toBe('nothing waits for a signature\n');
  });

  it('compares with what this key has signed before, and says what a node would refuse', async () => {
    await run(['apply', '-f', '-'], SEED_SPEC);
    await run(['sign', '--key', key(), '--yes', '--expires', '30d']);
    await run(['apply', '-f', '-', '--allow-mass-removal'], 'nodes: { edge1: {}, master1: {}, remote: {} }');
    const { stdout } = await run(['sign', '--key', key(), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      signed: [],
      waiting: expect.arrayContaining([
        expect.objectContaining({
          node: 'remote',
          generation: 2,
          isCompared: true,
          loss: '3 of its 3 connections',
          allowMassRemoval: true,
          added: [],
        }),
      ]) as unknown,
    });
    const signed = JSON.parse((await run(['sign', '--key', key(), '--json', '--yes'])).stdout) as { signed: string[] };
    expect(signed.signed).toEqual(['edge1', 'master1', 'remote']);
  });

  it.each([
    [['sign'], /required option '--key <file>'/],
    [['sign', '--key', '/nowhere'], /--key \/nowhere: .*no such file/],
    [['sign', '--key', '/etc/hostname'], /--key \/etc\/hostname: .*no key in PEM/],
    [['sign', '--key', 'KEY', '--expires', 'soon'], /--expires soon: must be a duration/],
  ])('%j is bad input', async (args, message) => {
    const outcome = await run(args.map((each) => (each === 'KEY' ? key() : each)));
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(message);
  });

  it('does nothing with another key than the one that nodes trust', async () => {
    await run(['signing-key', 'create', '--out', join(folder, 'other.key')]);
    const outcome = await run(['sign', '--key', join(folder, 'other.key'), '--yes']);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toContain('not the key that the nodes of this mesh trust');
  });
});

describe('meshctl signing-key', () => {
  it('create writes two files, one of them secret, and nothing over another', async () => {
    await serve();
    const { stdout } = await run(['signing-key', 'create', '--out', key()]);
    expect(stdout).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    expect(statSync(key()).mode & 0o777).toBe(0o600);
    expect(readFileSync(`${key()}.pub`, 'utf8')).toContain('BEGIN PUBLIC KEY');
    expect(readFileSync(key(), 'utf8')).not.toContain(stdout.trim());
    const again = await run(['signing-key', 'create', '--out', key()]);
    expect(again).toMatchObject({ code: 2, stdout: '' });
  });

  it('show and rotate tell the key and where it is', async () => {
    await serve();
    const before = await run(['signing-key', 'show']);
    expect(before.stdout).toMatch(/^[\w-]{43}\nsigns for mesh mesh.example; its private part is on the coordinator\n$/);
    const after = await run(['signing-key', 'rotate', '--json']);
    expect(JSON.parse(after.stdout)).toMatchObject({ offline: false, unsigned: 0 });
    expect((await run(['signing-key', 'show'])).stdout).not.toBe(before.stdout);
  });

  it('rotate hands an offline key over to the next one', async () => {
    await withOfflineKey();
    await run(['apply', '-f', '-'], SEED_SPEC);
    await run(['sign', '--key', key(), '--yes']);
    const next = join(folder, 'next.key');
    await run(['signing-key', 'create', '--out', next]);
    expect(await run(['signing-key', 'rotate', '--key', key()])).toMatchObject({ code: 2 });
    expect((await run(['signing-key', 'rotate'])).stderr).toContain('not on this coordinator');
    const rotated = await run(['signing-key', 'rotate', '--key', key(), '--to', `${next}.pub`]);
    expect(rotated.stdout).toContain("in the operator's keeping\n3 states wait for its signature");
    expect((await run(['sign', '--key', key(), '--yes'])).code).toBe(2);
    expect((await run(['sign', '--key', next, '--yes'])).stdout).toContain('signed for 3 nodes');
  });
});

describe('meshctl apply', () => {
  it('refuses a mass removal without consent, and says how to give it', async () => {
    await serve();
    await run(['apply', '-f', '-'], SEED_SPEC);
    const text = 'nodes: { edge1: {} }';
    const dry = await run(['apply', '-f', '-', '--dry-run'], text);
    expect(dry.stdout).toContain('remote would lose 3 of its 3 connections\n');
    expect(dry.stdout).toContain('to be applied with --allow-mass-removal\n');
    const refused = await run(['apply', '-f', '-'], text);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('nodes.remote: would lose 3 of its 3 connections');
    expect(refused.stderr).toContain('--allow-mass-removal');
    const applied = await run(['apply', '-f', '-', '--allow-mass-removal'], text);
    expect(applied.stdout).toContain('remote loses 3 of its 3 connections\n');
  });
});
