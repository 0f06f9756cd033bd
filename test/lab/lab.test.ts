import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { identityOf } from './process-identity.ts';
import { namespacePrefix } from './removal.ts';
import { run } from './run.ts';
import type { StrongswanVersion } from './strongswan.ts';
import type { EdgeName, NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/** Says when it listens, and what came. */
const LISTENER = `require('node:dgram').createSocket('udp4').on('message', (message) => console.log('got ' + message))
  .bind(4000, () => console.log('ready'))`;

describe('a lab', () => {
  it('leaves no namespace, process or file behind', async () => {
    const lab = await Lab.create();
    await lab.startCharon('edge1');
    await lab.longPing('edge1', '203.0.113.10');
    expect(await traceOf(lab.id)).toMatchObject({ namespaces: 6, folders: 1 });
    expect((await traceOf(lab.id)).processes).toBeGreaterThanOrEqual(2);
    await lab[Symbol.asyncDispose]();
    expect(await traceOf(lab.id)).toEqual({ namespaces: 0, folders: 0, processes: 0 });
  });

  it('lets every node reach the WAN, and nobody reach a node behind its NAT', async () => {
    await using lab = await Lab.create();
    expect([await reachesHub(lab, 'edge1'), await reachesHub(lab, 'remote')]).toEqual([true, true]);
    await lab.exec('master1', ['ip', 'route', 'add', '192.168.1.0/24', 'via', '203.0.113.21']);
    const fromOutside = { count: 2, from: '203.0.113.10' };
    expect(await lab.ping('master1', '203.0.113.21', fromOutside)).toEqual({ sent: 2, received: 0 });
    expect(await lab.ping('master1', '192.168.1.2', fromOutside)).toEqual({ sent: 2, received: 0 });
  });

  it('has no way between two LANs by itself', async () => {
    await using lab = await Lab.create();
    expect(await lab.ping('master1', '7.7.7.1', { count: 1 })).toEqual({ sent: 1, received: 0 });
    expect(await lab.ping('edge1', '7.7.8.1', { count: 1 })).toEqual({ sent: 1, received: 0 });
  });

  it('does not see another lab with the same addresses', async () => {
    await using first = await Lab.create();
    await using second = await Lab.create({ edges: ['edge1', 'remote', 'edge3'], nat: { edge3: 'symmetric' } });
    await Promise.all([first.startCharon('master1'), second.startCharon('master1')]);
    expect(second.nodes).toEqual(['master1', 'edge1', 'remote', 'edge3']);
    expect(await Promise.all([reachesHub(first, 'edge1'), reachesHub(second, 'edge1')])).toEqual([true, true]);
    await first[Symbol.asyncDispose]();
    expect(await reachesHub(second, 'edge3')).toBe(true);
  });

  it('is removed by the next one once its owner was killed', async () => {
    const owner = spawn('sleep', ['1000']);
    const identity = (await identityOf(owner.pid ?? 0))!;
    const orphan = await Lab.create({ owner: identity });
    await orphan.startCharon('edge1');
    {
      await using meanwhile = await Lab.create();
      expect(meanwhile.id).not.toBe(orphan.id);
      expect(await traceOf(orphan.id)).toMatchObject({ namespaces: 6, folders: 1 });
    }
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await using next = await Lab.create();
    expect(next.id).not.toBe(orphan.id);
    // A lab that another test makes at this moment may be the one that removes it.
    await waitFor({
      what: 'nothing of the orphan',
      observe: () => traceOf(orphan.id),
      until: ({ namespaces, folders, processes }) => namespaces + folders + processes === 0,
      timeoutMs: 10_000,
    });
  });

  it('outlives its owner when it is kept, until it is removed by its id', async () => {
    const owner = spawn('sleep', ['1000']);
    const lab = await Lab.create({ owner: (await identityOf(owner.pid ?? 0))! });
    await lab.keep();
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await using next = await Lab.create();
    expect(next.id).not.toBe(lab.id);
    expect(await traceOf(lab.id)).toMatchObject({ namespaces: 6, folders: 1 });
    expect(await Lab.remove(lab.id)).toBe(true);
    expect(await traceOf(lab.id)).toMatchObject({ namespaces: 0, folders: 0 });
    expect(await Lab.remove(lab.id)).toBe(false);
  });

  it.each(['', 'UPPER', 'a-b', '123456789'])('refuses the id %j', async (id) => {
    await expect(Lab.create({ id })).rejects.toMatchObject({ code: 'bad-argument' });
  });
});

describe('the WAN', () => {
  it('can lose what two nodes send each other, and only that', async () => {
    await using lab = await Lab.create({ edges: ['edge1', 'remote', 'edge3'] });
    await lab.network.dropBetween('edge1', 'master1');
    expect([await reachesHub(lab, 'edge1'), await reachesHub(lab, 'remote')]).toEqual([false, true]);
    await lab.network.dropBetween('edge1', 'remote');
    await lab.network.restoreBetween('edge1', 'master1');
    expect([await reachesHub(lab, 'edge1'), await reachesHub(lab, 'edge3')]).toEqual([true, true]);
  });

  it('can forget a mapping', async () => {
    await using lab = await Lab.create();
    await reachesHub(lab, 'edge1');
    const mappings = (): Promise<string> => lab.exec('nat1', ['conntrack', '-L']).then(({ stdout }) => stdout);
    expect(await mappings()).toContain('dst=203.0.113.10');
    await lab.network.flushConntrack('edge1');
    expect(await mappings()).toBe('');
  });

  it.each([
    ['cone', true],
    ['symmetric', false],
  ] as const)('behind a %s NAT sees source ports kept: %s', async (kind, samePort) => {
    await using lab = await Lab.create({ nat: { edge1: kind } });
    const sender = `require('node:dgram').createSocket('udp4').bind(5000, function () {
      this.send('x', 4000, '203.0.113.10', () => this.close()); })`;
    await lab.exec('edge1', [process.execPath, '-e', sender]);
    const { stdout } = await lab.exec('nat1', ['conntrack', '-L', '-p', 'udp']);
    expect(/dst=203\.0\.113\.21 sport=4000 dport=5000 /.test(stdout)).toBe(samePort);
  });
});

interface Target {
  readonly to: NodeName;
  readonly address: string;
}

/** Sends a datagram to a node's port 4000. Lost is what has not come before one that the node then sends itself. */
async function expectUdp(
  lab: Lab,
  from: NodeName,
  { to, address }: Target,
  fate: 'arrives' | 'is lost',
): Promise<void> {
  const listener = await lab.spawn(to, `udp-${randomUUID()}`, [process.execPath, '-e', LISTENER]);
  const log = (): Promise<string> => readFile(listener.logFile, 'utf8');
  const logged = (line: string): Promise<string> =>
    waitFor({ what: `"${line}" at ${to}`, observe: log, until: (text) => text.includes(line), timeoutMs: 10_000 });
  await logged('ready');
  await sendUdp(lab, from, address, 'it');
  if (fate === 'arrives') await logged('got it');
  await sendUdp(lab, to, '127.0.0.1', 'the end');
  const seen = await logged('got the end');
  await listener.stop('SIGTERM');
  expect(seen.includes('got it')).toBe(fate === 'arrives');
}

async function sendUdp(lab: Lab, from: NodeName, address: string, text: string): Promise<void> {
  const sender = `const s = require('node:dgram').createSocket('udp4').bind(5000, () => s.send('${text}', 4000, '${address}', () => s.close()))`;
  await lab.exec(from, [process.execPath, '-e', sender]);
}

describe('between an edge and the WAN', () => {
  it('may be nothing, a router that blocks UDP, or two routers', async () => {
    await using lab = await Lab.create({
      edges: ['edge1', 'remote', 'edge3'],
      nat: { edge1: 'none', remote: 'udp-blocked' },
      doubleNat: ['edge3'],
    });
    const { edges } = lab.network.topology;
    expect(edges.map(({ address }) => address)).toEqual(['203.0.113.31', '192.168.2.2', '192.168.3.2']);
    expect(await Promise.all(edges.map(({ name }) => reachesHub(lab, name)))).toEqual([true, true, true]);
    await reachesHub(lab, 'edge3');
    const [inner, outer] = await Promise.all(['nat3', 'carrier3'].map((host) => lab.exec(host, ['conntrack', '-L'])));
    expect(inner?.stdout).toContain('src=203.0.113.10 dst=100.64.3.2');
    expect(outer?.stdout).toContain('src=203.0.113.10 dst=203.0.113.23');
    const toHub = { to: 'master1', address: '203.0.113.10' } as const;
    const toEdge1 = { to: 'edge1', address: '203.0.113.31' } as const;
    await expectUdp(lab, 'remote', toHub, 'arrives');
    await expectUdp(lab, 'remote', toEdge1, 'is lost');
    await expectUdp(lab, 'edge3', toEdge1, 'arrives');
  });

  it('may be one router for two, which reach each other without it', async () => {
    await using lab = await Lab.create({ sameNat: { remote: 'edge1' } });
    expect(lab.network.topology.edges.map(({ address }) => address)).toEqual(['192.168.1.2', '192.168.1.3']);
    const toRemote = { count: 1, from: '192.168.1.2' };
    expect((await lab.ping('edge1', '192.168.1.3', toRemote)).received).toBe(1);
    await lab.network.dropFrom('remote', 'edge1');
    expect((await lab.ping('edge1', '192.168.1.3', toRemote)).received).toBe(0);
    expect([await reachesHub(lab, 'edge1'), await reachesHub(lab, 'remote')]).toEqual([true, true]);
  });

  it('may be a second hub, which relays too', async () => {
    await using lab = await Lab.create({ secondHub: true });
    expect(lab.nodes).toEqual(['master1', 'master2', 'edge1', 'remote']);
    const fromEdge = { count: 1, from: '192.168.1.2' };
    expect((await lab.ping('edge1', '203.0.113.11', fromEdge)).received).toBe(1);
  });
});

describe('harm', () => {
  it('can be done one way', async () => {
    await using lab = await Lab.create({ nat: { edge1: 'none', remote: 'none' } });
    const [toRemote, toEdge1] = [
      { to: 'remote', address: '203.0.113.32' },
      { to: 'edge1', address: '203.0.113.31' },
    ] as const;
    await lab.network.dropFrom('edge1', 'remote');
    await expectUdp(lab, 'remote', toEdge1, 'arrives');
    await expectUdp(lab, 'edge1', toRemote, 'is lost');
    await lab.network.restoreFrom('edge1', 'remote');
    await expectUdp(lab, 'edge1', toRemote, 'arrives');
  });

  it('can be done to UDP only', async () => {
    await using lab = await Lab.create();
    const toHub = { to: 'master1', address: '203.0.113.10' } as const;
    await lab.network.blockUdp('edge1', 'master1');
    expect(await reachesHub(lab, 'edge1')).toBe(true);
    await expectUdp(lab, 'edge1', toHub, 'is lost');
    await lab.network.unblockUdp('edge1', 'master1');
    await expectUdp(lab, 'edge1', toHub, 'arrives');
  });

  it('can be another WAN address, under which everything goes on', async () => {
    await using lab = await Lab.create();
    const addresses = (): Promise<string> => lab.exec('nat1', ['ip', '-4', 'addr']).then(({ stdout }) => stdout);
    await lab.network.changeWanAddress('edge1');
    expect(await reachesHub(lab, 'edge1')).toBe(true);
    expect(await addresses()).toContain('203.0.113.121/24');
    expect(await addresses()).not.toContain('203.0.113.21/24');
    await lab.network.dropBetween('edge1', 'master1');
    expect(await reachesHub(lab, 'edge1')).toBe(false);
    await lab.network.restoreBetween('edge1', 'master1');
    await lab.network.restoreWanAddress('edge1');
    expect(await addresses()).toContain('203.0.113.21/24');
    expect(await reachesHub(lab, 'edge1')).toBe(true);
  });
});

describe.each<StrongswanVersion>(['5.9', '6.0'])('charon %s', (strongswan) => {
  it('answers, and again after it was killed', async () => {
    await using lab = await Lab.create({ strongswan });
    await lab.startCharon('master1');
    const version = (): Promise<string> => lab.swanctl('master1', ['--version', '--daemon']);
    expect(await version()).toContain(`strongSwan ${strongswan}.`);
    await lab.killCharon('master1');
    await expect(version()).rejects.toMatchObject({ code: 'command-failed' });
    await lab.startCharon('master1');
    expect(await version()).toContain(`strongSwan ${strongswan}.`);
  });

  it('runs once per node', async () => {
    await using lab = await Lab.create({ strongswan });
    await Promise.all(lab.nodes.map((node) => lab.startCharon(node)));
    const stats = await Promise.all(lab.nodes.map((node) => lab.swanctl(node, ['--stats'])));
    expect(stats.map((text) => text.includes('kernel-libipsec'))).toEqual([true, true, true]);
  });
});

/** Outside of all tunnels: from the node's own address, through its NAT. */
async function reachesHub(lab: Lab, node: EdgeName): Promise<boolean> {
  const { address } = lab.network.topology.edges.find(({ name }) => name === node)!;
  const { received } = await lab.ping(node, '203.0.113.10', { count: 1, from: address });
  return received === 1;
}

/** What the machine still has of a lab. */
async function traceOf(id: string): Promise<{ namespaces: number; folders: number; processes: number }> {
  const namespaces = (await readdir('/run/netns')).filter((name) => name.startsWith(namespacePrefix(id)));
  const folders = (await readdir(tmpdir())).filter((name) => name.startsWith(`cygnet-lab-${id}-`));
  const { stdout } = await run(['pgrep', '-fc', `cygnet-lab-${id}-`], { accept: [0, 1] });
  const inNamespaces = await Promise.all(namespaces.map((name) => run(['ip', 'netns', 'pids', name])));
  const pids = inNamespaces.flatMap((found) => found.stdout.split('\n').filter(Boolean));
  return { namespaces: namespaces.length, folders: folders.length, processes: Math.max(Number(stdout), pids.length) };
}
