import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { meshSpec } from './seed-mesh.ts';
import { STRONGSWAN_VERSIONS } from './strongswan.ts';
import type { EdgeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

const ENDS: readonly EdgeName[] = ['edge1', 'remote'];
const DIRECT_MS = 120_000;
const SOON_MS = 30_000;

it.each(STRONGSWAN_VERSIONS)(
  'a link is direct though charon %s holds on to a lost mediation at both ends, and stays so when the agents start anew',
  async (strongswan) => {
    await using lab = await Lab.create({ strongswan });
    const mesh = new Mesh(lab);
    await mesh.bringUp(meshSpec(lab.network, [['edge1', 'remote']]));
    await untilDirect(mesh);

    await Promise.all(ENDS.map((end) => mesh.stopAgent(end, 'SIGTERM')));
    await loseMediations(lab);
    await Promise.all(ENDS.map((end) => mesh.startAgent(end)));
    const links = await untilDirect(mesh);
    const again = links.flatMap(({ connections }) => connections.filter(({ name }) => name.endsWith('.again')));
    expect(again.filter(({ kind, status }) => kind === 'mediation-client' && status === 'up')).not.toEqual([]);

    for (const end of ENDS) {
      await mesh.stopAgent(end, 'SIGKILL');
      await mesh.startAgent(end);
    }
    const after = await untilDirect(mesh);
    expect(after.map(directSpis)).toEqual(links.map(directSpis));
    expect(await lab.ping('edge1', '7.7.8.1', { count: 5 })).toEqual({ sent: 5, received: 5 });
  },
);

/** Both ends have asked the mediator for the other one when it dies: no answer will ever come. */
async function loseMediations(lab: Lab): Promise<void> {
  await lab.swanctl('edge1', ['--terminate', '--ike', 'cygnet-peer-remote']);
  const mediator = lab.charonOf('master1');
  process.kill(mediator.pid, 'SIGSTOP');
  for (const [end, peer] of [ENDS, ENDS.toReversed()] as [EdgeName, EdgeName][]) {
    const ike = `cygnet-peer-${peer}`;
    await lab.swanctl(end, ['--initiate', '--ike', ike, '--child', 'edge1--remote', '--timeout', '-1']);
    await waitFor({
      what: `${end} to ask for ${peer}`,
      observe: () => readFile(`${lab.folderOf(end)}/charon.log`, 'utf8'),
      until: (log) =>
        log.slice(log.lastIndexOf('initiating mediation connection')).includes('generating ME_CONNECT request'),
      timeoutMs: SOON_MS,
    });
  }
  await lab.killCharon('master1');
  await lab.startCharon('master1');
}

function untilDirect(mesh: Mesh): Promise<readonly AgentStatus[]> {
  return waitFor({
    what: 'a direct path at both ends',
    observe: async () =>
      Promise.all(
        ENDS.map(async (end) => statusSchema.parse(JSON.parse(await mesh.agentctl(end, ['status', '--json'])))),
      ),
    until: (ends) => ends.every(({ links }) => links.length === 1 && links[0]?.path === 'direct'),
    timeoutMs: DIRECT_MS,
  });
}

function directSpis({ connections }: AgentStatus): readonly string[] {
  const peers = connections.filter(({ kind }) => kind === 'mediated-peer');
  return peers.flatMap(({ ikeSas }) => ikeSas.flatMap((sa) => sa.childSas.map(({ spiIn }) => spiIn)));
}
