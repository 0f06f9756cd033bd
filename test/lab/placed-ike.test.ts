import { expect, it } from 'vitest';
import { statusSchema } from '../../src/agent/api.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { nodesReplySchema } from '../../src/coordinator/api.ts';
import { authority } from '../identity/operator-pki.ts';
import { placedOn } from '../identity/placed-ike.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { meshSpec } from './seed-mesh.ts';
import { waitFor } from './wait-for.ts';

it('two nodes with IKE certificates that were placed on them have both paths, and none of the mesh’s CA', async () => {
  await using lab = await Lab.create();
  const mesh = new Mesh(lab);
  const root = await authority({ name: 'Root' });
  const issuing = await authority({ name: 'VPN CA', issuer: root });
  const [edge1, remote, master1] = await Promise.all(
    (['edge1', 'remote', 'master1'] as const).map((node) => placedOn(lab.folderOf(node), node, [issuing, root])),
  );
  await Promise.all(lab.nodes.map((node) => lab.startCharon(node)));
  await mesh.startCoordinator();
  await mesh.startAgent('edge1', { ike: edge1!.files });
  await mesh.startAgent('remote', { ike: remote!.files });
  // The hub shows a certificate of the mesh's CA, and believes the edges.
  await mesh.startAgent('master1', { ike: { ca: master1!.files.ca } });
  for (const node of lab.nodes) await mesh.enroll(node);
  await mesh.applySpec(meshSpec(lab.network, [['edge1', 'remote']]));
  await waitFor({
    what: 'a direct path, and one through the hub',
    observe: async () => statusSchema.parse(JSON.parse(await mesh.agentctl('edge1', ['status', '--json']))),
    until: ({ links }) => links[0]?.path === 'direct' && links[0].relay?.health === 'alive',
    timeoutMs: 30_000,
  });
  expect(await lab.ping('edge1', '7.7.8.1', { count: 5 })).toEqual({ sent: 5, received: 5 });

  const shown = await waitFor({
    what: 'the ends of both in meshctl nodes',
    observe: async () => nodesReplySchema.parse(JSON.parse(await mesh.meshctl(['nodes', '--json']))),
    until: ({ nodes }) => nodes.every(({ certificates }) => certificates?.ikeNotAfterMs !== null),
    timeoutMs: 10_000,
  });
  expect(shown.nodes.map(({ certificates }) => [certificates?.ikeIsPlaced, certificates?.ikeNotAfterMs])).toEqual([
    [true, edge1!.notAfterMs],
    [false, expect.any(Number)],
    [true, remote!.notAfterMs],
  ]);
  const withMeshs = lab.nodes.filter((node) => 'ike' in storedIn(`${lab.folderOf(node)}/agent`).identity.read()!);
  expect(withMeshs).toEqual(['master1']);
});
