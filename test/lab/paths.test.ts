import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pingResultSchema, statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { meshSpec } from './seed-mesh.ts';
import { MESH_ADDRESSES, type NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/** What a link does when its paths live and die, with a mediator and hub to spare. */

const EDGES: readonly NodeName[] = ['edge1', 'remote'];
/** Some tries, with charon's checks in between. */
const DIRECT_MS = 120_000;
/** What DPD would need to notice anything (10 s, and 16 s of retransmissions) is more than this. */
const SOON_MS = 15_000;

type LinkStatus = AgentStatus['links'][number];

describe.each(['5.9', '6.0'] as const)('a link on strongSwan %s', (strongswan) => {
  let lab: Lab;
  let mesh: Mesh;

  const statusOf = async (node: NodeName): Promise<AgentStatus> =>
    statusSchema.parse(JSON.parse(await mesh.agentctl(node, ['status', '--json'])));

  /** The link at both ends, once it is as wanted. */
  const untilBoth = (what: string, until: (link: LinkStatus) => boolean, timeoutMs: number): Promise<LinkStatus[]> =>
    waitFor({
      what,
      observe: async () => (await Promise.all(EDGES.map(statusOf))).flatMap(({ links }) => links),
      until: (links) => links.length === EDGES.length && links.every(until),
      timeoutMs,
    });
  const untilDirect = (): Promise<LinkStatus[]> =>
    untilBoth('a direct path', ({ path, direct }) => path === 'direct' && direct?.health === 'alive', DIRECT_MS);
  const untilRelay = (): Promise<LinkStatus[]> =>
    untilBoth('the relay', ({ path, relay }) => path === 'relay' && relay?.health === 'alive', SOON_MS);
  const expectPacketsPass = async (): Promise<void> =>
    expect(await lab.ping('edge1', '7.7.8.1', { count: 5 })).toEqual({ sent: 5, received: 5 });

  beforeAll(async () => {
    lab = await Lab.create({ strongswan, secondHub: true });
    mesh = new Mesh(lab);
    await mesh.bringUp(meshSpec(lab.network, [['edge1', 'remote']]));
    await untilDirect();
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  it('can be measured on both of its paths, and by its mesh addresses', async () => {
    const result: unknown = JSON.parse(await mesh.agentctl('edge1', ['ping', 'remote', '--count', '1', '--json']));
    expect(pingResultSchema.parse(result)).toMatchObject({
      direct: { outcome: 'answered' },
      relay: { outcome: 'answered' },
    });
    expect(await mesh.agentctl('edge1', ['paths', 'remote'])).toMatch(/^remote +direct .* ms/m);
    expect(await lab.ping('edge1', MESH_ADDRESSES.remote, { count: 3, from: MESH_ADDRESSES.edge1 })).toEqual({
      sent: 3,
      received: 3,
    });
  });

  it('has nothing but its own subnets and mesh addresses in it: the hub’s mesh address is out of reach', async () => {
    const { received } = await lab.ping('edge1', MESH_ADDRESSES.master1, { count: 2, from: MESH_ADDRESSES.edge1 });
    expect(received).toBe(0);
  });

  it('loses no packet when the mesh spec takes its direct path away, at one end a little later', async () => {
    const pings = await Promise.all([lab.longPing('edge1', '7.7.8.1'), lab.longPing('remote', '7.7.7.1')]);
    const late = mesh.agentOf('remote').pid;
    process.kill(late, 'SIGSTOP');
    try {
      await mesh.applySpec(meshSpec(lab.network, [{ between: ['edge1', 'remote'], path: 'relay' }]));
      await waitFor({
        what: 'edge1 to take the relay',
        observe: () => statusOf('edge1'),
        until: ({ links }) => links.every(({ path }) => path === 'relay'),
        timeoutMs: SOON_MS,
      });
    } finally {
      process.kill(late, 'SIGCONT');
    }
    await waitFor({
      what: 'no direct tunnel at either end',
      observe: () => Promise.all(EDGES.map((node) => lab.swanctl(node, ['--list-sas']))),
      until: (listed) => !listed.some((sas) => sas.includes('cygnet-peer-')),
      timeoutMs: SOON_MS,
    });
    await untilRelay();
    await mesh.applySpec(meshSpec(lab.network, [['edge1', 'remote']]));
    await untilDirect();
    for (const ping of pings) {
      const { sent, received } = await ping.stop();
      expect(sent - received).toBe(0);
    }
  });

  it('stays direct when the agent of one end is killed, as its kernel answers the probes', async () => {
    const before = await statusOf('edge1');
    await mesh.stopAgent('remote', 'SIGKILL');
    await waitFor({
      what: 'a ping that finds no agent, over a path that works',
      observe: async () =>
        pingResultSchema.parse(JSON.parse(await mesh.agentctl('edge1', ['ping', 'remote', '-c', '1', '--json']))),
      until: ({ direct, relay }) => direct.outcome === 'refused' && relay.outcome === 'refused',
      timeoutMs: SOON_MS,
    });
    await mesh.startAgent('remote');
    await untilDirect();
    const spis = ({ connections }: AgentStatus): unknown =>
      connections
        .filter(({ kind }) => kind === 'mediated-peer')
        .map(({ ikeSas }) => ikeSas.map((sa) => sa.childSas.map((child) => child.spiIn)));
    expect(spis(await statusOf('edge1'))).toEqual(spis(before));
  });

  it.each([
    [
      'both ways',
      () => lab.network.dropBetween('edge1', 'remote'),
      () => lab.network.restoreBetween('edge1', 'remote'),
    ],
    ['one way', () => lab.network.dropFrom('edge1', 'remote'), () => lab.network.restoreFrom('edge1', 'remote')],
  ])('takes the relay when its direct path dies in silence %s, and is direct again', async (_what, harm, restore) => {
    await harm();
    const links = await untilRelay();
    for (const { cause } of links) expect(cause).toBe('path-silent');
    await expectPacketsPass();
    await restore();
    await untilDirect();
    await expectPacketsPass();
  });

  /** remote has a direct tunnel to edge1 at such an address. */
  const untilSeenAt = (isWanted: (remoteHost: string) => boolean): Promise<AgentStatus> =>
    waitFor({
      what: 'remote to have a direct tunnel to the other address',
      observe: () => statusOf('remote'),
      until: ({ connections }) =>
        connections
          .filter(({ kind }) => kind === 'mediated-peer')
          .some(({ ikeSas }) => ikeSas.some((sa) => sa.state === 'ESTABLISHED' && isWanted(sa.remoteHost))),
      timeoutMs: DIRECT_MS,
    });

  it('is direct again from another address when the NAT in front of it has changed its own, and back', async () => {
    const edge1 = lab.network.topology.edges.find(({ name }) => name === 'edge1');
    const address = edge1?.nat?.address ?? '';
    await lab.network.changeWanAddress('edge1');
    await untilSeenAt((remoteHost) => remoteHost !== address);
    await untilDirect();
    await expectPacketsPass();
    await lab.network.restoreWanAddress('edge1');
    await untilSeenAt((remoteHost) => remoteHost === address);
    await untilDirect();
  });

  it('is direct again when the node itself has another address', async () => {
    await lab.exec('edge1', ['ip', 'addr', 'del', '192.168.1.2/24', 'dev', 'eth0']);
    await lab.exec('edge1', ['ip', 'addr', 'add', '192.168.1.9/24', 'dev', 'eth0']);
    await lab.exec('edge1', ['ip', 'route', 'replace', 'default', 'via', '192.168.1.1']);
    const status = await waitFor({
      what: 'every IKE SA of edge1 at its new address, and the link direct',
      observe: () => statusOf('edge1'),
      until: ({ connections, links }) =>
        links.every(({ path }) => path === 'direct') &&
        connections.some(({ kind, status }) => kind === 'mediated-peer' && status === 'up') &&
        connections.every(({ ikeSas }) =>
          ikeSas.every(({ state, localHost }) => state === 'CREATED' || localHost === '192.168.1.9'),
        ),
      timeoutMs: DIRECT_MS,
    });
    expect(status.links).toHaveLength(1);
    // charon may take its SAs along to the new address at once; the peer follows only those that it has answered.
    await waitFor({
      what: 'packets from the new address',
      observe: () => lab.ping('edge1', '7.7.8.1', { count: 5 }),
      until: ({ received }) => received === 5,
      timeoutMs: SOON_MS,
    });
    await untilDirect();
    await expectPacketsPass();
  });

  it('goes on through the other hub, and finds its direct path through the other mediator', async () => {
    await lab.network.dropBetween('edge1', 'remote');
    await untilRelay();
    const carrier = await busyHub();
    await lab.killCharon(carrier, 'SIGKILL');
    await waitFor({
      what: 'packets through the other hub',
      observe: () => lab.ping('edge1', '7.7.8.1', { count: 3 }),
      until: ({ received }) => received === 3,
      timeoutMs: SOON_MS,
    });
    await lab.network.restoreBetween('edge1', 'remote');
    await untilDirect();
    await expectPacketsPass();
  });

  const packetsToHubs = async (): Promise<readonly (readonly [string, number])[]> => {
    const { connections } = await statusOf('edge1');
    return connections
      .filter(({ kind }) => kind === 'spoke')
      .map(({ peer, ikeSas }) => {
        const packets = ikeSas.flatMap(({ childSas }) => childSas.map(({ packetsOut }) => packetsOut));
        return [peer ?? '', packets.reduce((sum, count) => sum + count, 0)] as const;
      });
  };

  /** The hub through which edge1 sends now. */
  const busyHub = async (): Promise<NodeName> => {
    const before = new Map(await packetsToHubs());
    await lab.ping('edge1', '7.7.8.1', { count: 20, intervalSeconds: 0.05 });
    const growth = (await packetsToHubs()).map(([hub, packets]) => [hub, packets - (before.get(hub) ?? 0)] as const);
    const [busiest] = growth.toSorted(([, a], [, b]) => b - a);
    return busiest?.[0] as NodeName;
  };
});
