import { expect, it } from 'vitest';
import { statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh } from '../lab/mesh.ts';
import { meshSpec } from '../lab/seed-mesh.ts';
import type { TopologyOptions } from '../lab/topology.ts';
import { waitFor } from '../lab/wait-for.ts';

const DIRECT_MS = 120_000;

/** Where charon's own packets could take the tunnels, were they not left out. */
const CASES: readonly (readonly [string, TopologyOptions, Readonly<Record<'edge1' | 'remote', string>>, string])[] = [
  [
    'stands in the LAN that it announces, behind a NAT',
    {},
    { edge1: '192.168.1.0/24', remote: '192.168.2.0/24' },
    '203.0.113.22',
  ],
  [
    'announces the very address that its tunnels come from',
    { nat: { edge1: 'none', remote: 'none' } },
    { edge1: '203.0.113.31/32', remote: '203.0.113.32/32' },
    '203.0.113.32',
  ],
];

it.each(CASES)(
  'a node that %s has its direct tunnel beside the relay, not inside',
  async (_what, options, subnets, remoteHost) => {
    await using lab = await Lab.create(options);
    const mesh = new Mesh(lab);
    await mesh.bringUp();
    const { edges } = lab.network.topology;
    const spec = edges.reduce(
      (text, { name, lan }) => text.replace(lan.subnet, subnets[name as 'edge1' | 'remote']),
      meshSpec(lab.network, [['edge1', 'remote']]),
    );
    await mesh.applySpec(spec);
    const { connections } = await waitFor({
      what: 'a direct path',
      observe: async (): Promise<AgentStatus> =>
        statusSchema.parse(JSON.parse(await mesh.agentctl('edge1', ['status', '--json']))),
      until: ({ links }) => links.some(({ path }) => path === 'direct'),
      timeoutMs: DIRECT_MS,
    });
    const direct = connections.find(({ kind }) => kind === 'mediated-peer');
    expect(direct?.ikeSas.map((sa) => sa.remoteHost)).toEqual([remoteHost]);
    const [from, to] = edges.map(({ address }) => address) as [string, string];
    expect(await lab.ping('edge1', to, { count: 5, from })).toEqual({ sent: 5, received: 5 });
  },
);
