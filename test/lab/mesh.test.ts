import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { agentEventSchema, statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import { nodeEventSchema, type NodeEvent } from '../../src/control/report.ts';
import { Lab } from './lab.ts';
import { firstNameOf, Mesh } from './mesh.ts';
import { meshSpec, SEED_LINKS, type SeedLink } from './seed-mesh.ts';
import type { StrongswanVersion } from './strongswan.ts';
import type { NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

/** The product as its users run it: real charon daemons behind real NATs, and the built programs. */

const NODES: readonly NodeName[] = ['master1', 'edge1', 'remote'];
const EDGES: readonly NodeName[] = ['edge1', 'remote'];
/** Longer than charon takes to give up a peer that is gone (10 s to the liveness check, 16 s of retransmissions). */
const RECOVERY_MS = 90_000;

/**
 * A charon that answers sends into a new CHILD SA some milliseconds before the one that asked has installed it, and what
 * comes in them is lost: one packet at most for each of the two tunnels. See "Changed selectors" in ARCHITECTURE.md.
 */
const CHANGED_SAS_LOSS_MAX = 2;

interface Running {
  readonly lab: Lab;
  readonly mesh: Mesh;
}

async function statusOf({ mesh }: Running, node: NodeName): Promise<AgentStatus> {
  return statusSchema.parse(JSON.parse(await mesh.agentctl(node, ['status', '--json'])));
}

function statuses(running: Running, nodes: readonly NodeName[] = NODES): Promise<AgentStatus[]> {
  return Promise.all(nodes.map((node) => statusOf(running, node)));
}

const pathsOf = (status: AgentStatus): string[] => status.links.map(({ peer, path }) => `${peer} ${path}`);
const allDirect = (status: AgentStatus): boolean =>
  status.links.length > 0 && status.links.every(({ path }) => path === 'direct');

/** Every link direct on every node, and nothing to complain about. */
async function untilDirect(
  running: Running,
  nodes: readonly NodeName[] = NODES,
  timeoutMs = RECOVERY_MS,
): Promise<AgentStatus[]> {
  return waitFor({
    what: `a direct path on every link of ${nodes.join(', ')}`,
    observe: () => statuses(running, nodes),
    until: (all) => all.every((status) => allDirect(status) && status.problems.length === 0),
    timeoutMs,
    intervalMs: 500,
  });
}

/** What of the SAs must not change when nothing should: connection, unique ids and SPIs. */
function sasOf(status: AgentStatus, only: (connection: string) => boolean = () => true): string[] {
  return status.connections
    .filter(({ name }) => only(name))
    .flatMap(({ name, ikeSas }) =>
      ikeSas.flatMap((ikeSa) => [
        `${name}[${ikeSa.uniqueId}]`,
        ...ikeSa.childSas.map((child) => `${name}/${child.name} ${child.spiIn} ${child.spiOut}`),
      ]),
    );
}

/**
 * Exactly one IKE SA per connection, and one CHILD SA per child of it. What is CREATED is a try, not yet an SA; what was
 * rekeyed stays in charon's list for some seconds.
 */
function expectNoDuplicates(status: AgentStatus): void {
  const connections = status.connections.filter(({ kind }) => kind !== 'mediation-server');
  // One with a peer may be under the name of a second registration.
  const tunnelOf = ({ name, kind }: (typeof connections)[number]): string =>
    kind === 'mediated-peer' ? firstNameOf(name) : name;
  for (const name of new Set(connections.map(tunnelOf))) {
    const ikeSas = connections.filter((each) => tunnelOf(each) === name).flatMap((each) => each.ikeSas);
    expect(
      ikeSas.filter(({ state }) => state !== 'CREATED'),
      name,
    ).toHaveLength(1);
    const children = ikeSas.flatMap(({ childSas }) =>
      childSas.filter(({ state }) => !['REKEYED', 'DELETED'].includes(state)).map((child) => child.name),
    );
    expect(new Set(children).size, name).toBe(children.length);
  }
}

/** Pings 20 times a second through the direct tunnel while `harm` is done and for a while after it. */
async function expectNothingLost(running: Running, harm: () => Promise<void>): Promise<void> {
  const before = (await statuses(running)).map((status) => sasOf(status));
  const ping = await running.lab.longPing('edge1', '7.7.8.1');
  await harm();
  await running.lab.ping('remote', '7.7.7.1', { count: 20 });
  const { sent, received } = await ping.stop();
  expect(sent).toBeGreaterThan(20);
  expect(received).toBe(sent);
  expect((await statuses(running)).map((status) => sasOf(status))).toEqual(before);
}

async function bringUp(strongswan: StrongswanVersion, spec?: (lab: Lab) => string): Promise<Running> {
  const lab = await Lab.create({ strongswan, edges: ['edge1', 'remote', 'edge3'] });
  const mesh = new Mesh(lab);
  await mesh.bringUp(spec?.(lab) ?? seedSpec(lab), NODES);
  return { lab, mesh };
}

/** The seed's three nodes; the lab has a fourth, which joins later. */
function seedSpec(lab: Lab, links: readonly SeedLink[] = SEED_LINKS): string {
  const { hub, edges } = lab.network.topology;
  const wanted = new Set(['edge1', 'remote', ...links.flat()]);
  return meshSpec({ topology: { hub, edges: edges.filter(({ name }) => wanted.has(name)) } }, links);
}

/** Whether this node's charon has an IKE SA of another one. */
function knows({ connections }: AgentStatus, node: string): boolean {
  const ikeSas = connections.flatMap((connection) => connection.ikeSas);
  return ikeSas.some(({ remoteId }) => new RegExp(`\\b${node}\\b`).test(remoteId));
}

/** Ms from the revocation of edge1 to the end of its channel, and to the last end of an SA of its at these nodes. */
async function revocationTimes(
  { lab, mesh }: Running,
  others: readonly NodeName[],
): Promise<{ readonly closedMs: number; readonly goneMs: number }> {
  const eventsIn = (text: string): NodeEvent[] => linesOf(text).map((line) => nodeEventSchema.parse(line));
  const told = eventsIn(await mesh.meshctl(['events', '--since', '0', '--json']));
  const revokedMs = Math.max(...told.filter(({ kind }) => kind === 'revoke').map(({ atMs }) => atMs));
  const ended = await Promise.all(others.map((node) => mesh.agentctl(node, ['events', '--json'])));
  const ends = ended.flatMap(eventsIn).filter(({ kind, atMs }) => kind === 'ike-down' && atMs >= revokedMs);
  const closed = linesOf(await readFile(`${lab.folder}/agent-edge1.log`, 'utf8'))
    .map((line) => agentLogLine.parse(line))
    .find(({ problem }) => problem?.includes('revoked'));
  return {
    closedMs: Date.parse(closed?.time ?? '') - revokedMs,
    goneMs: Math.max(...ends.map(({ atMs }) => atMs)) - revokedMs,
  };
}

const agentLogLine = z.object({ time: z.string(), problem: z.string().nullish() });

const linesOf = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));

/** How many steps, or steps of one kind, the agent has taken since its start. */
async function stepsOf({ mesh }: Running, node: NodeName, kind?: string): Promise<number> {
  const lines = (await mesh.agentctl(node, ['events', '--json'])).trim().split('\n');
  const events = lines.map((line) => agentEventSchema.parse(JSON.parse(line)));
  return events.filter((event) => event.kind === 'step' && (kind === undefined || event.message === kind)).length;
}

describe.each(['5.9', '6.0'] as const)('a mesh on strongSwan %s', (strongswan) => {
  let running: Running;

  beforeAll(async () => {
    running = await bringUp(strongswan);
    await untilDirect(running);
  });
  afterAll(async () => {
    await running?.lab[Symbol.asyncDispose]();
  });

  it('has one IKE SA per connection and one CHILD SA per link on each side, and carries packets', async () => {
    for (const status of await statuses(running)) expectNoDuplicates(status);
    const [edge1, remote] = await statuses(running, EDGES);
    expect(pathsOf(edge1!)).toEqual(['master1 direct', 'remote direct']);
    expect(pathsOf(remote!)).toEqual(['edge1 direct', 'master1 direct']);
    expect(await running.lab.ping('edge1', '7.7.8.1', { count: 20 })).toEqual({ sent: 20, received: 20 });
  });

  it('has no TCP port open on an edge, whose network has nothing but the agent and charon in it', async () => {
    const { pid } = running.mesh.agentOf('edge1');
    const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')));
    const states = tables
      .flatMap((table) => table.trim().split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/)[3]);
    // The control channel is there, so the tables are the right ones.
    expect(states).toContain('01');
    expect(states).not.toContain('0A');
  });

  it('writes nothing to charon while nothing changes', async () => {
    const before = await Promise.all(NODES.map((node) => stepsOf(running, node)));
    // Each status is a full round of observing and planning.
    for (let round = 0; round < 5; round += 1) await statuses(running);
    expect(await Promise.all(NODES.map((node) => stepsOf(running, node)))).toEqual(before);
  });

  it('loses no packet and no SA when the certificates of every node are renewed', async () => {
    await expectNothingLost(running, async () => {
      await Promise.all(NODES.map((node) => running.mesh.agentctl(node, ['renew'])));
      await waitFor({
        what: 'charons that have let go of the former keys',
        observe: () => Promise.all(NODES.map((node) => stepsOf(running, node, 'unload-key'))),
        until: (unloads) => unloads.every((count) => count === 1),
        timeoutMs: 30_000,
      });
      await untilDirect(running);
    });
    // The tests that follow set tunnels up with the new ones.
    expect(await stepsOf(running, 'edge1', 'load-credentials')).toBe(2);
  });

  it.each(NODES)('loses no packet and no SA when the agent of %s is killed', async (node) => {
    await expectNothingLost(running, async () => {
      await running.mesh.stopAgent(node, 'SIGKILL');
      await running.mesh.startAgent(node);
      const [status] = await untilDirect(running, [node]);
      expect(status?.desired).toMatchObject({ applied: status?.desired.generation });
    });
  });

  it('loses no packet and no SA when the coordinator is killed', async () => {
    await expectNothingLost(running, async () => {
      await running.mesh.stopCoordinator('SIGKILL');
      await waitFor({
        what: 'agents that miss the coordinator',
        observe: () => statuses(running),
        until: (all) => all.every(({ coordinator }) => coordinator.state !== 'connected'),
        timeoutMs: 20_000,
      });
      await running.mesh.startCoordinator();
      await untilDirect(running);
    });
  });

  it('is whole again after swanctl --load-all, which unloads what is not in its files', async () => {
    const before = await statusOf(running, 'edge1');
    const loadsBefore = await stepsOf(running, 'edge1', 'load-conn');
    // One more than in the desired state where the node moves its traffic by traps.
    const connections = (await running.lab.swanctl('edge1', ['--list-conns'])).match(/^cygnet-\S+:/gm) ?? [];
    expect(connections.length).toBeGreaterThanOrEqual(3);
    await running.lab.swanctl('edge1', ['--load-all']);
    await waitFor({
      what: 'all connections of edge1 loaded again',
      observe: () => stepsOf(running, 'edge1', 'load-conn'),
      until: (loads) => loads === loadsBefore + connections.length,
      timeoutMs: 30_000,
    });
    await untilDirect(running);
    const after = await statusOf(running, 'edge1');
    expectNoDuplicates(after);
    // medsrv has no CHILD SA, and strongSwan 6.0 ends childless IKE SAs of what is unloaded.
    const hasChildren = (name: string): boolean => !name.includes('medsrv');
    expect(sasOf(after, hasChildren)).toEqual(sasOf(before, hasChildren));
  });

  it.each(NODES)('converges without a hand when the charon of %s is killed', async (node) => {
    await running.lab.killCharon(node, 'SIGKILL');
    await waitFor({
      what: `an agent of ${node} that misses its charon`,
      observe: () => statusOf(running, node),
      until: ({ charon }) => !charon.connected,
      timeoutMs: 20_000,
    });
    await running.lab.startCharon(node);
    await untilDirect(running);
    for (const status of await statuses(running)) expectNoDuplicates(status);
    expect(await running.lab.ping('edge1', '7.7.8.1', { count: 5 })).toEqual({ sent: 5, received: 5 });
    expect(await running.lab.ping('remote', '10.233.97.1', { count: 5 })).toEqual({ sent: 5, received: 5 });
  });

  it('comes up from disk when the coordinator is away', async () => {
    await running.mesh.stopCoordinator('SIGKILL');
    await Promise.all(EDGES.map((node) => running.mesh.stopAgent(node, 'SIGKILL')));
    await Promise.all(EDGES.map((node) => running.lab.killCharon(node, 'SIGKILL')));
    await Promise.all(EDGES.map((node) => running.lab.startCharon(node)));
    await Promise.all(EDGES.map((node) => running.mesh.startAgent(node)));
    await waitFor({
      what: 'a direct path without a coordinator',
      observe: () => statuses(running, EDGES),
      until: (all) => all.every((status) => allDirect(status)),
      timeoutMs: RECOVERY_MS,
    });
    for (const status of await statuses(running, EDGES)) expectNoDuplicates(status);
    await running.mesh.startCoordinator();
    // These have waited for a coordinator, longer and longer; a new agent asks at once.
    for (const node of NODES) {
      await running.mesh.stopAgent(node);
      await running.mesh.startAgent(node);
    }
    await untilDirect(running);
  });

  it('makes no duplicate when both agents start at the same instant', async () => {
    await Promise.all(EDGES.map((node) => running.mesh.stopAgent(node, 'SIGKILL')));
    await Promise.all(EDGES.map((node) => running.lab.killCharon(node, 'SIGKILL')));
    await Promise.all(EDGES.map((node) => running.lab.startCharon(node)));
    await Promise.all(EDGES.map((node) => running.mesh.startAgent(node)));
    await untilDirect(running);
    for (const status of await statuses(running)) expectNoDuplicates(status);
  });

  it('takes in a new node, and changes nothing for the others', async () => {
    const { lab, mesh } = running;
    const before = await statuses(running);
    await mesh.startAgent('edge3');
    await mesh.enroll('edge3');
    await mesh.applySpec(seedSpec(lab, [...SEED_LINKS, ['edge1', 'edge3'], ['edge3', 'master1']]));
    await untilDirect(running, [...NODES, 'edge3']);
    const after = await statuses(running);
    for (const [index, status] of after.entries()) {
      expect(sasOf(status)).toEqual(
        expect.arrayContaining(sasOf(before[index]!).filter((sa) => !sa.startsWith('cygnet-mediation'))),
      );
    }
    expect(after[2]?.desired).toEqual(before[2]?.desired);
    expect(await lab.ping('edge1', '7.7.9.1', { count: 5 })).toEqual({ sent: 5, received: 5 });
  });

  it('changes the selectors of a link on both of its paths, without a duplicate or an interruption', async () => {
    const { lab, mesh } = running;
    // The narrower selector wants an address of the hub inside it, too.
    await lab.network.holdForRelay(['7.7.8.2']);
    const ping = await lab.longPing('edge1', '7.7.8.1');
    const links: SeedLink[] = [...SEED_LINKS, ['edge1', 'edge3'], ['edge3', 'master1']];
    await mesh.applySpec(seedSpec(lab, links).replace('7.7.8.0/24', '7.7.8.0/25'));
    await waitFor({
      what: 'the new selectors on every CHILD SA of the link, once each',
      observe: () => statuses(running, EDGES),
      until: (all) =>
        all.every((status) => {
          const children = status.connections.flatMap(({ ikeSas }) => ikeSas.flatMap(({ childSas }) => childSas));
          const ofLink = children.filter(({ link }) => link === 'edge1--remote');
          return (
            ofLink.length === 2 && ofLink.every((child) => [...child.localTs, ...child.remoteTs].includes('7.7.8.0/25'))
          );
        }),
      timeoutMs: 60_000,
    });
    for (const status of await untilDirect(running, [...NODES, 'edge3'])) expectNoDuplicates(status);
    const { sent, received } = await ping.stop();
    expect(sent - received).toBeLessThanOrEqual(CHANGED_SAS_LOSS_MAX);
  });

  it('changes selectors also when the hub takes the change late, and charon narrows them until then', async () => {
    const { lab, mesh } = running;
    const links: SeedLink[] = [...SEED_LINKS, ['edge1', 'edge3'], ['edge3', 'master1']];
    await mesh.stopAgent('master1', 'SIGKILL');
    await mesh.applySpec(seedSpec(lab, links));
    await waitFor({
      what: 'a status that tells of the narrowed selectors',
      observe: () => statusOf(running, 'remote'),
      until: ({ problems }) => problems.some((problem) => problem.includes('other selectors than configured')),
      timeoutMs: 30_000,
    });
    await mesh.startAgent('master1');
    for (const status of await untilDirect(running, [...NODES, 'edge3'])) expectNoDuplicates(status);
  });

  it('lets go of a removed link, and of nothing else', async () => {
    const { lab, mesh } = running;
    const [edge1Before] = await statuses(running, ['edge1']);
    await mesh.applySpec(
      seedSpec(lab, [
        ['edge1', 'master1'],
        ['remote', 'master1'],
        ['edge1', 'edge3'],
        ['edge3', 'master1'],
      ]),
    );
    // A second registration goes with the link that it is for.
    const isOfTheLink = (sa: string): boolean => /edge1--remote|^cygnet-peer-remote|^cygnet-medsrv-.*\.again/.test(sa);
    const kept = sasOf(edge1Before!).filter((sa) => !isOfTheLink(sa));
    await waitFor({
      what: 'edge1 without the link to remote',
      observe: () => statusOf(running, 'edge1'),
      until: (status) => status.links.length === 2 && !sasOf(status).some(isOfTheLink),
      timeoutMs: 30_000,
    });
    expect(sasOf(await statusOf(running, 'edge1'))).toEqual(kept);
    expect((await lab.ping('edge1', '7.7.8.1', { count: 3, intervalSeconds: 0.2 })).received).toBe(0);
  });

  it('shows in meshctl nodes what a charon refuses, and keeps what it had', async () => {
    const { lab, mesh } = running;
    await mesh.applySpec(
      seedSpec(lab).replace('links:', 'defaults: { child: { proposals: [aes999-nonsense] } }\nlinks:'),
    );
    const nodes = await waitFor({
      what: 'a nack in meshctl nodes',
      observe: () => mesh.meshctl(['nodes']),
      until: (text) => text.includes('invalid value for: esp_proposals'),
      timeoutMs: 30_000,
    });
    expect(nodes).toContain('cygnet-hub-master1');
    expect((await lab.ping('edge1', '10.233.97.1', { count: 3 })).received).toBe(3);
    await mesh.applySpec(seedSpec(lab));
    await untilDirect(running);
  });

  it('throws a revoked node out of every charon within seconds, and lets it in nowhere again', async () => {
    const { lab, mesh } = running;
    await mesh.meshctl(['node', 'revoke', 'edge1', '--reason', 'stolen']);
    const others: readonly NodeName[] = ['master1', 'remote'];
    await waitFor({
      what: 'charons without an SA of edge1',
      observe: () => statuses(running, others),
      until: (all) => all.every((status) => !knows(status, 'edge1')),
      timeoutMs: 30_000,
    });
    const { closedMs, goneMs } = await revocationTimes(running, others);
    expect(closedMs).toBeLessThan(2000);
    expect(goneMs).toBeLessThan(5000);
    // With nothing but its certificates it tries everything anew: its agent and its charon begin from what is on disk.
    await mesh.stopAgent('edge1', 'SIGKILL');
    await lab.killCharon('edge1', 'SIGKILL');
    await lab.startCharon('edge1');
    await mesh.startAgent('edge1');
    await waitFor({
      what: 'a mediator whose charon has refused the certificate',
      observe: () => readFile(`${lab.folderOf('master1')}/charon.log`, 'utf8'),
      until: (log) => log.includes('certificate was revoked'),
      timeoutMs: 30_000,
    });
    const status = await waitFor({
      what: 'an agent that says why',
      observe: () => statusOf(running, 'edge1'),
      until: ({ coordinator }) => coordinator.problem?.includes('this node is revoked') === true,
      timeoutMs: 30_000,
    });
    expect(status.connections.flatMap(({ ikeSas }) => ikeSas).filter(({ state }) => state === 'ESTABLISHED')).toEqual(
      [],
    );
    for (const other of await statuses(running, others)) expect(knows(other, 'edge1')).toBe(false);
    expect(await mesh.meshctl(['nodes'])).toMatch(/edge1 +no .* revoked/);
  });
});
