import { expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { PlainMesh } from './plain-mesh.ts';
import { MESH_ADDRESSES, type EdgeName } from './topology.ts';

/** The mesh address of each edge (the even one), and the one with which it probes the relay. */
const PAIRS: Readonly<Record<EdgeName, readonly [string, string]>> = {
  edge1: [MESH_ADDRESSES.edge1, '100.96.0.5'],
  remote: [MESH_ADDRESSES.remote, '100.96.0.7'],
  edge3: [MESH_ADDRESSES.edge3, '100.96.0.9'],
};

it.each(['5.9', '6.0'] as const)(
  'plain swanctl %s relays mesh addresses through a hub that holds them, and takes the direct tunnel when it is there',
  async (strongswan) => {
    await using lab = await Lab.create({ strongswan });
    const { edges } = lab.network.topology;
    for (const { name } of edges) {
      for (const address of PAIRS[name]) await lab.exec(name, ['ip', 'addr', 'add', `${address}/32`, 'dev', 'lo']);
    }
    const mesh = await PlainMesh.start(lab, { subnetsOf: ({ name, lan }) => [lan.subnet, `${PAIRS[name][0]}/31`] });
    await mesh.relay('edge1', 'remote');
    await mesh.relay('remote', 'edge1');
    const tenth = { count: 3, intervalSeconds: 0.1 };
    const meshPing = { ...tenth, from: PAIRS.edge1[0] };
    expect(await lab.ping('edge1', '7.7.8.1', tenth)).toEqual({ sent: 3, received: 3 });
    for (const address of PAIRS.remote) {
      expect(await lab.ping('edge1', address, meshPing), address).toEqual({ sent: 3, received: 3 });
    }
    expect(await lab.ping('remote', PAIRS.edge1[1], { ...tenth, from: PAIRS.remote[1] })).toMatchObject({
      received: 3,
    });

    await Promise.all(edges.map(({ name }) => mesh.register(name)));
    await mesh.initiateDirect('edge1', 'remote');
    await lab.killCharon('master1');
    expect(await lab.ping('edge1', PAIRS.remote[0], meshPing)).toEqual({ sent: 3, received: 3 });
  },
);
