import { expect, it } from 'vitest';
import { initiations } from '../../src/ike/import/load-commands.ts';
import { meshCa } from '../identity/mesh.ts';
import { ImportedNode } from './imported-node.ts';
import { Lab } from './lab.ts';
import type { StrongswanVersion } from './strongswan.ts';
import { waitFor } from './wait-for.ts';

const REGISTERED_MS = 30_000;

/** The SAs of a node once they are these, whatever comes and goes before. */
function statusOf(node: ImportedNode, expected: readonly string[]): Promise<readonly string[]> {
  return waitFor({
    what: expected.join('; '),
    observe: () => node.status(),
    until: (seen) => JSON.stringify(seen) === JSON.stringify(expected),
    timeoutMs: REGISTERED_MS,
  });
}

it.each<StrongswanVersion>(['5.9', '6.0'])(
  'the seed’s three ipsec.conf, imported and loaded into strongSwan %s, make the seed’s tunnels',
  async (strongswan) => {
    await using lab = await Lab.create({ strongswan });
    const ca = await meshCa();
    await using master1 = await ImportedNode.start(lab, 'master1', ca);
    await using remote = await ImportedNode.start(lab, 'remote', ca);
    await using edge1 = await ImportedNode.start(lab, 'edge1', ca);

    // Loading starts what is not mediated: remote's cloud is up by itself.
    const cloud = 'cloud [C=CN, O=Local Cluster, CN=cloud-connector2] 7.7.8.0/24 === 10.233.97.0/24';
    await statusOf(remote, [cloud]);

    // Mediation connections come next. The seed has auto=start for them on both nodes.
    for (const node of [edge1, remote]) {
      expect(initiations(node.config)).toEqual([{ ike: 'medsrv' }, { ike: 'peer', child: 'peer', after: 'medsrv' }]);
      expect(await node.initiate('medsrv')).toBeUndefined();
    }
    // Then the direct tunnel, from one end only, as the import's warning says. charon loses one of some 40 set-ups on 6.0
    // (ARCHITECTURE.md, "Who initiates"), and only the other end can free such a pair.
    const lost = await edge1.initiate('peer', 'peer');
    if (lost !== undefined) expect(await remote.initiate('peer', 'peer')).toBeUndefined();

    const medsrv = 'medsrv [C=CN, O=Local Cluster, CN=cloud-connector]';
    await statusOf(remote, [cloud, medsrv, 'peer [C=CN, O=Local Cluster, CN=proxy] 7.7.8.0/24 === 7.7.7.0/24']);
    const peer = 'peer [C=CN, O=Local Cluster, CN=remote] 7.7.7.0/24 === 7.7.8.0/24';

    // master1's proxy has leftsubnet twice and no rightsubnet, so that edge1's cloud fits nothing there. In the seed's own
    // status it is missing as well.
    expect(await edge1.initiate('cloud', 'cloud')).toContain("establishing CHILD_SA 'cloud' failed");
    expect((await edge1.status()).filter((line) => line.includes('==='))).toEqual([peer]);
    expect(await edge1.status()).toContain(medsrv);
    const registered = ['proxy', 'remote'].map((name) => `medsrv [C=CN, O=Local Cluster, CN=${name}]`);
    expect(await master1.status()).toEqual(
      expect.arrayContaining([
        ...registered,
        'remote [C=CN, O=Local Cluster, CN=remote2] 10.233.97.0/24 === 7.7.8.0/24',
      ]),
    );
    expect((await master1.status()).filter((line) => line.startsWith('proxy') && line.includes('==='))).toEqual([]);

    // Direct: each NAT's address is what the other end sends to.
    const direct = (await edge1.ikeSas()).find(({ name }) => name === 'peer');
    expect(direct).toMatchObject({ 'remote-host': '203.0.113.22', 'local-host': '192.168.1.2' });
    expect(await lab.ping('edge1', '7.7.8.1', { count: 10 })).toEqual({ sent: 10, received: 10 });
    expect(await lab.ping('remote', '10.233.97.1', { count: 10 })).toEqual({ sent: 10, received: 10 });
  },
);
