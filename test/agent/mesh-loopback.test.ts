import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const UNSHARE = '/usr/bin/unshare';

/** Whether this process may make a network namespace. */
function canMakeNamespace(): boolean {
  if (process.getuid?.() !== 0 || !existsSync(UNSHARE)) return false;
  try {
    execFileSync(UNSHARE, ['--net', 'ip', 'link', 'set', 'lo', 'up']);
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!canMakeNamespace())('the mesh addresses of a node', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-loopback-'));
  const module = pathToFileURL(join(folder, 'agent', 'mesh-loopback.js')).href;

  /** Node 20 runs no TypeScript, so the module is compiled first, as in a release. */
  beforeAll(() => {
    const options =
      '--ignoreConfig --skipLibCheck --module nodenext --target es2022 --types node --rewriteRelativeImportExtensions';
    const argv = [...options.split(' '), '--rootDir', 'src', '--outDir', folder, 'src/agent/mesh-loopback.ts'];
    execFileSync('node_modules/.bin/tsc', argv);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs this in a network namespace of its own, with a `loopback`, `ip(…)`, `nowMs` and `say(…)`; what it has said. */
  async function inNamespace(body: string): Promise<unknown[]> {
    const source = `import { execFileSync } from 'node:child_process';
      import { networkInterfaces } from 'node:os';
      import { MeshLoopback } from ${JSON.stringify(module)};
      let nowMs = 0;
      const path = process.env.PATH;
      const loopback = new MeshLoopback(() => nowMs);
      const ip = (...argv) => execFileSync('ip', argv, { encoding: 'utf8', env: { PATH: path } });
      const ours = () => (networkInterfaces()['lo:cygnet'] ?? []).map(({ cidr }) => cidr);
      const said = [];
      const say = (value) => said.push(value ?? null);
      ip('link', 'set', 'lo', 'up');
      ${body}
      console.log(JSON.stringify(said));`;
    const { stdout } = await run(UNSHARE, ['--net', process.execPath, '--input-type=module', '--eval', source]);
    return JSON.parse(stdout) as unknown[];
  }

  it('are on its loopback, under our label, beside what is there', async () => {
    const [ours, all, problem] = await inNamespace(`
      await loopback.hold(['100.96.0.2', '100.96.0.3']);
      say(ours()); say(ip('-o', '-4', 'address', 'show', 'dev', 'lo')); say(loopback.problem);`);
    expect(ours).toEqual(['100.96.0.2/32', '100.96.0.3/32']);
    expect(all).toContain('127.0.0.1/8');
    expect(problem).toBeNull();
  });

  it('are left as they are when they are there, also by an agent before', async () => {
    // Without a path to it, `ip` cannot be run: nothing is done.
    const [problem, ours] = await inNamespace(`
      await loopback.hold(['100.96.0.2']);
      process.env.PATH = '/nowhere';
      const next = new MeshLoopback(() => 0);
      await next.hold(['100.96.0.2']);
      say(next.problem); say(ours());`);
    expect(problem).toBeNull();
    expect(ours).toEqual(['100.96.0.2/32']);
  });

  it('give way to others, and nobody else’s address does', async () => {
    const [ours, all] = await inNamespace(`
      ip('address', 'add', '192.0.2.7/32', 'dev', 'lo');
      await loopback.hold(['100.96.0.2', '100.96.0.3']);
      await loopback.hold(['100.96.0.4', '100.96.0.3']);
      say(ours()); say(ip('-o', '-4', 'address', 'show', 'dev', 'lo'));`);
    expect((ours as string[]).sort()).toEqual(['100.96.0.3/32', '100.96.0.4/32']);
    expect(all).toContain('192.0.2.7/32');
  });

  it('are all taken away with the last of them', async () => {
    const [ours, all] = await inNamespace(`
      ip('address', 'add', '192.0.2.7/32', 'dev', 'lo');
      await loopback.hold(['100.96.0.2']);
      await loopback.hold([]);
      say(ours()); say(ip('-o', '-4', 'address', 'show', 'dev', 'lo'));`);
    expect(ours).toEqual([]);
    expect(all).toContain('192.0.2.7/32');
    expect(all).not.toContain('100.96.0.2');
  });

  it('are back after somebody has taken them away', async () => {
    const [ours] = await inNamespace(`
      await loopback.hold(['100.96.0.2']);
      ip('address', 'del', '100.96.0.2/32', 'dev', 'lo');
      await loopback.hold(['100.96.0.2']);
      say(ours());`);
    expect(ours).toEqual(['100.96.0.2/32']);
  });

  it('that are refused are a problem in words, and asked for again after half a minute', async () => {
    const [refused, early, later, ours] = await inNamespace(`
      process.env.PATH = '/nowhere';
      await loopback.hold(['100.96.0.2']);
      say(loopback.problem);
      process.env.PATH = path;
      nowMs = 29_999;
      await loopback.hold(['100.96.0.2']);
      say(loopback.problem);
      nowMs = 30_000;
      await loopback.hold(['100.96.0.2']);
      say(loopback.problem); say(ours());`);
    expect(refused).toMatch(/^mesh address not set, so paths cannot be probed: .*ENOENT/);
    expect([early, later]).toEqual([refused, null]);
    expect(ours).toEqual(['100.96.0.2/32']);
  });

  it('that are refused are no problem any more when none is wanted', async () => {
    const [problem] = await inNamespace(`
      process.env.PATH = '/nowhere';
      await loopback.hold(['100.96.0.2']);
      await loopback.hold([]);
      say(loopback.problem);`);
    expect(problem).toBeNull();
  });

  it('do not become more than one each when they are asked for twice at the same time', async () => {
    const [problem, ours] = await inNamespace(`
      await Promise.all([loopback.hold(['100.96.0.2']), loopback.hold(['100.96.0.2'])]);
      say(loopback.problem); say(ours());`);
    expect(problem).toBeNull();
    expect(ours).toEqual(['100.96.0.2/32']);
  });
});
