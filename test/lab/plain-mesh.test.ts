import { expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { PlainMesh } from './plain-mesh.ts';
import { meshAddressOf, meshAddressPairOf } from './topology.ts';

it.each(['5.9', '6.0'] as const)(
  'plain swanctl %s relays mesh addresses through a hub that holds them, and takes the direct tunnel when it is there',
  async (strongswan) => {
    await using lab = await Lab.create({ strongswan });
    const { edges } = lab.network.topology;
    for (const { name } of edges) {
      for (const address of meshAddressPairOf(name))
        await lab.exec(name, ['ip', 'addr', 'add', `${address}/32`, 'dev', 'lo']);
    }
    const mesh = await PlainMesh.start(lab, {
      subnetsOf: ({ name, lan }) => [lan.subnet, `${meshAddressOf(name)}/31`],
    });
    await mesh.relay('edge1', 'remote');
    await mesh.relay('remote', 'edge1');
    const tenth = { count: 3, intervalSeconds: 0.1 };
    const meshPing = { ...tenth, from: meshAddressOf('edge1') };
    expect(await lab.ping('edge1', '7.7.8.1', tenth)).toEqual({ sent: 3, received: 3 });
    for (const address of meshAddressPairOf('remote')) {
      expect(await lab.ping('edge1', address, meshPing), address).toEqual({ sent: 3, received: 3 });
    }
    expect(
      await lab.ping('remote', meshAddressPairOf('edge1')[1], { ...tenth, from: meshAddressPairOf('remote')[1] }),
    ).toMatchObject({
      received: 3,
    });

    await Promise.all(edges.map(({ name }) => mesh.register(name)));
    await mesh.initiateDirect('edge1', 'remote');
    await lab.killCharon('master1');
    expect(await lab.ping('edge1', meshAddressOf('remote'), meshPing)).toEqual({ sent: 3, received: 3 });
  },
);
