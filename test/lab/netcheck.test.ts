import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { netCheckSchema, type NetCheck } from '../../src/agent/api.ts';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { meshSpec } from './seed-mesh.ts';
import type { EdgeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/** What a node finds out about its network, behind real NATs and with a real charon at the other end. */

const EDGES: readonly EdgeName[] = ['edge1', 'remote'];
const HUB = '203.0.113.10';

interface Asked {
  readonly code: number;
  readonly check: NetCheck;
}

describe.each(['5.9', '6.0'] as const)('agentctl netcheck, strongSwan %s', (strongswan) => {
  let lab: Lab;
  let mesh: Mesh;

  /** The nodes' own charons play no part. The hub comes first, so that its reflector is there for the others' first check. */
  beforeAll(async () => {
    lab = await Lab.create({ strongswan, nat: { remote: 'symmetric' } });
    mesh = new Mesh(lab);
    const agents = lab.nodes.map((node) => mesh.startAgent(node));
    await Promise.all([lab.startCharon('master1'), mesh.startCoordinator(), ...agents]);
    await mesh.enroll('master1');
    await mesh.applySpec(meshSpec(lab.network));
    await waitFor({
      what: 'a reflector on the hub',
      observe: async () => (await lab.exec('master1', ['cat', '/proc/net/udp'])).stdout,
      until: (sockets) => sockets.includes(':1D15 ') && sockets.includes(':1D16 '),
      timeoutMs: 10_000,
    });
    await Promise.all(EDGES.map((node) => mesh.enroll(node)));
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  async function ask(node: EdgeName): Promise<Asked> {
    const argv = mesh.agentctlArgv(node, ['netcheck', '--json']);
    const { code, stdout } = await lab.exec(node, argv, { accept: [0, 1] });
    return { code, check: netCheckSchema.parse(JSON.parse(stdout)) };
  }

  /** Before the desired state has come there is nothing to ask. */
  const asked = (node: EdgeName): Promise<Asked> =>
    waitFor({
      what: `a check of ${node}`,
      observe: () => ask(node),
      until: ({ check }) => check.targets.length > 0,
      timeoutMs: 10_000,
    });

  /** A new agent has its desired state on disk, and checks at once. */
  async function askedAnew(node: EdgeName): Promise<Asked> {
    await mesh.stopAgent(node);
    await mesh.startAgent(node);
    return await asked(node);
  }

  it('finds a NAT that keeps its mapping, and what is behind it', async () => {
    const { code, check } = await asked('edge1');
    const [target] = check.targets;
    const endpoint = { address: '203.0.113.21', port: target!.local!.port };
    expect(check).toMatchObject({
      natKind: 'cone',
      targets: [
        {
          node: 'master1',
          host: HUB,
          address: HUB,
          local: { address: '192.168.1.2' },
          reflexive: [
            { reflectorPort: 7445, endpoint },
            { reflectorPort: 7446, endpoint },
          ],
          ike500: true,
          ike4500: true,
          mtu: 1500,
        },
      ],
    });
    expect(code).toBe(0);
  });

  it('finds a symmetric NAT', async () => {
    const { code, check } = await asked('remote');
    const seen = check.targets[0]!.reflexive.map(({ endpoint }) => endpoint);
    expect(check).toMatchObject({ natKind: 'symmetric', targets: [{ ike500: true, ike4500: true }] });
    expect(seen.map((endpoint) => endpoint?.address)).toEqual(['203.0.113.22', '203.0.113.22']);
    expect(seen[0]!.port).not.toBe(seen[1]!.port);
    expect(code).toBe(0);
  });

  it('begins no IKE SA by that', async () => {
    expect(await lab.swanctl('master1', ['--list-sas'])).toBe('');
    expect(await lab.swanctl('master1', ['--stats'])).toContain('IKE_SAs: 0 total, 0 half-open');
  });

  it('finds a narrow way, also when the kernel has learnt of it and would send fragments', async () => {
    await lab.exec('nat1', ['ip', 'link', 'set', 'eth0', 'mtu', '1400']);
    expect((await askedAnew('edge1')).check.targets[0]).toMatchObject({ mtu: 1380 });
    const routes = await lab.exec('edge1', ['ip', 'route', 'get', HUB]);
    expect(routes.stdout).toContain('mtu 1400');
    expect((await askedAnew('edge1')).check.targets[0]).toMatchObject({ mtu: 1380 });
    await lab.exec('nat1', ['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
  });

  it('finds that UDP is blocked, says what to do, and fails', async () => {
    const rules = `table ip no_udp {
      chain through { type filter hook forward priority -1; ip daddr ${HUB} meta l4proto udp drop; }
    }`;
    await lab.exec('nat1', ['nft', '-f', '-'], { input: rules });
    const { code, check } = await askedAnew('edge1');
    expect(check).toMatchObject({ natKind: 'blocked', targets: [{ ike500: false, ike4500: false, mtu: null }] });
    expect(code).toBe(1);
    const told = await lab.exec('edge1', mesh.agentctlArgv('edge1', ['netcheck']), { accept: [1] });
    expect(told.stdout).toContain('let UDP 500 and 4500 out');
    expect(told.stderr).toContain('no mediator and no hub can be used from here');
  });
});
