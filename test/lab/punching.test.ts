import { expect, it } from 'vitest';
import { statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { meshSpec } from './seed-mesh.ts';
import type { EdgeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/** A NAT router forgets, charon's checks end and the agents rest before the next try: that takes minutes. */
const NEXT_TRY_MS = 240_000;
const EDGES: readonly EdgeName[] = ['edge1', 'remote'];

it('a link that cannot go direct stays on the relay, lets both ends try, says why, and goes direct once it can', async () => {
  await using lab = await Lab.create();
  const mesh = new Mesh(lab);
  const statuses = (): Promise<AgentStatus[]> =>
    Promise.all(
      EDGES.map(async (node) => statusSchema.parse(JSON.parse(await mesh.agentctl(node, ['status', '--json'])))),
    );
  const linkOf = (status: AgentStatus): AgentStatus['links'][number] | undefined =>
    status.links.find(({ id }) => id === 'edge1--remote');

  await lab.network.dropBetween('edge1', 'remote');
  await Promise.all(lab.nodes.map((node) => lab.startCharon(node)));
  await mesh.startCoordinator();
  for (const node of lab.nodes) {
    await mesh.startAgent(node);
    await mesh.enroll(node);
  }
  await mesh.applySpec(meshSpec(lab.network));

  const stuck = await waitFor({
    what: 'a failed try of each end',
    observe: statuses,
    until: (all) => all.every((status) => (linkOf(status)?.directFailures ?? 0) >= 1),
    timeoutMs: 60_000,
  });
  for (const status of stuck) {
    expect(linkOf(status)).toMatchObject({ path: 'relay', cause: 'udp-blocked' });
  }
  expect(await lab.ping('edge1', '7.7.8.1', { count: 10 })).toEqual({ sent: 10, received: 10 });

  await lab.network.restoreBetween('edge1', 'remote');
  const direct = await waitFor({
    what: 'a direct path at both ends, and no try left over',
    observe: statuses,
    until: (all) =>
      all.every((status) => {
        const peer = status.connections.find(({ kind }) => kind === 'mediated-peer');
        return linkOf(status)?.path === 'direct' && peer?.ikeSas.length === 1;
      }),
    timeoutMs: NEXT_TRY_MS,
    intervalMs: 1000,
  });
  // charon aborts when its checks are disturbed; its start, which it tells to the second, shows that it lived on.
  for (const [index, { charon }] of direct.entries()) {
    expect(Math.abs((charon.sinceMs ?? 0) - (stuck[index]?.charon.sinceMs ?? 0))).toBeLessThan(3000);
  }
  expect(await lab.ping('edge1', '7.7.8.1', { count: 10 })).toEqual({ sent: 10, received: 10 });
}, 400_000);
