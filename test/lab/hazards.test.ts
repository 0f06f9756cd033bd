import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { PlainMesh } from './plain-mesh.ts';
import { STRONGSWAN_VERSIONS } from './strongswan.ts';
import type { NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/**
 * What charon does to those who do not know it. Each of these is why the agent does something in another way; a version
 * that is cured of one will fail here. That the agent meets none of them is shown by `test/agent/charon-hazards.test.ts`.
 */
describe.each(STRONGSWAN_VERSIONS)('a bare charon of %s', (strongswan) => {
  it('has two of everything when both ends initiate, so only one does', async () => {
    await using lab = await Lab.create({ strongswan });
    const mesh = await registered(lab);
    // An end that asks when the other's tunnel is up already makes none of its own: then both ask once more.
    await waitFor({
      what: 'two IKE SAs at both ends',
      observe: () => initiatedByBoth(mesh),
      until: (ends) => ends.every((sas) => sas.length === 2 && sas.every((sa) => sa.endsWith('ESTABLISHED'))),
      timeoutMs: 30_000,
    });
  });

  it('parks a worker for every peer that is initiated while the mediator is down, so registration comes first', async () => {
    await using lab = await Lab.create({ strongswan, edges: ['edge1', 'remote', 'edge3'] });
    const mesh = await PlainMesh.start(lab);
    await lab.killCharon('master1');
    const before = await idleWorkers(lab, 'edge1');
    for (const peer of ['remote', 'edge3'] as const) await mesh.queueDirect('edge1', peer);
    await waitFor({
      what: 'two workers fewer',
      observe: () => idleWorkers(lab, 'edge1'),
      until: (idle) => idle <= before - 2,
      timeoutMs: 10_000,
    });
    // And the pair is poisoned: whoever asks again waits for what never comes.
    await mesh.queueDirect('edge1', 'remote');
    expect(await readFile(`${lab.folderOf('edge1')}/charon.log`, 'utf8')).toContain('already in progress, queued');
  });

  it('parks none for what hangs at a mediator that is there, so that it keeps no other from its turn', async () => {
    await using lab = await Lab.create({ strongswan, edges: ['edge1', 'remote', 'edge3'] });
    const mesh = await PlainMesh.start(lab);
    await mesh.register('edge1');
    const before = await idleWorkers(lab, 'edge1');
    // Neither is registered.
    for (const peer of ['remote', 'edge3'] as const) await mesh.queueDirect('edge1', peer);
    await waitFor({
      what: 'two IKE SAs that hang, and as many idle workers as before',
      observe: async () => ({
        hanging: [...(await mesh.ikeSas('edge1', 'peer-remote')), ...(await mesh.ikeSas('edge1', 'peer-edge3'))],
        idle: await idleWorkers(lab, 'edge1'),
      }),
      until: ({ hanging, idle }) => hanging.filter((sa) => sa.endsWith('CREATED')).length === 2 && idle >= before,
      timeoutMs: 10_000,
    });
  });

  it('goes past the mediator when it is asked by IKE connection, so the agent asks by child', async () => {
    await using lab = await Lab.create({ strongswan });
    await registered(lab);
    const swanctl = lab.swanctl('edge1', ['--initiate', '--ike', 'peer-remote', '--timeout', '2']);
    await expect(swanctl).rejects.toMatchObject({ code: 'command-failed' });
    expect(await readFile(`${lab.folderOf('edge1')}/charon.log`, 'utf8')).toContain('to 0.0.0.0');
  });

  it('crashes when a mediated IKE SA is terminated between its checks and its set-up, so that waits', async () => {
    await using lab = await Lab.create({ strongswan });
    const mesh = await registered(lab);
    await mesh.queueDirect('edge1', 'remote');
    // From here charon waits for a second, and then takes the IKE SA for granted.
    await waitFor({
      what: 'a pair of endpoints that works',
      observe: () => readFile(`${lab.folderOf('edge1')}/charon.log`, 'utf8'),
      until: (log) => /endpoint pair '\d+' is valid/.test(log),
      timeoutMs: 10_000,
      intervalMs: 20,
    });
    await mesh.terminateDirect('edge1', 'remote');
    await waitFor({
      what: 'a charon that is gone',
      observe: () => Promise.resolve(lab.isCharonRunning('edge1')),
      until: (running) => !running,
      timeoutMs: 10_000,
    });
  });

  const does = strongswan === '5.9' ? 'keeps' : 'ends';
  it(`${does} every registration when the mediation connection is loaded again`, async () => {
    await using lab = await Lab.create({ strongswan });
    const mesh = await registered(lab);
    const before = await mesh.ikeSas('master1', 'medsrv');
    expect(before).toHaveLength(2);
    await mesh.load('master1');
    if (does === 'keeps') return expect(await mesh.ikeSas('master1', 'medsrv')).toEqual(before);
    // The edges register again at once; what they were about to set up is lost.
    await waitFor({
      what: 'other IKE SAs',
      observe: () => mesh.ikeSas('master1', 'medsrv'),
      until: (sas) => !sas.some((sa) => before.includes(sa)),
      timeoutMs: 10_000,
    });
  });
});

/** Both edges at the mediator. */
async function registered(lab: Lab): Promise<PlainMesh> {
  const mesh = await PlainMesh.start(lab);
  await Promise.all([mesh.register('edge1'), mesh.register('remote')]);
  return mesh;
}

/** The IKE SAs of the pair at either end, after both have asked for them; earlier ones are ended first. */
async function initiatedByBoth(mesh: PlainMesh): Promise<readonly (readonly string[])[]> {
  const pair = [
    ['edge1', 'remote'],
    ['remote', 'edge1'],
  ] as const;
  if ((await mesh.ikeSas('edge1', 'peer-remote')).length > 0) await mesh.terminateDirect('edge1', 'remote');
  await Promise.all(pair.map(([end, peer]) => mesh.initiateDirect(end, peer)));
  return Promise.all(pair.map(([end, peer]) => mesh.ikeSas(end, `peer-${peer}`)));
}

async function idleWorkers(lab: Lab, node: NodeName): Promise<number> {
  const [, idle] = /(\d+) idle/.exec(await lab.swanctl(node, ['--stats'])) ?? [];
  return Number(idle);
}
