import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { statusSchema } from '../../src/agent/api.ts';
import type { LabProcess } from '../lab/lab-process.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh } from '../lab/mesh.ts';
import { meshSpec } from '../lab/seed-mesh.ts';
import type { HostName } from '../lab/network.ts';
import { waitFor } from '../lab/wait-for.ts';

const DIRECT_MS = 120_000;
const PORT = 9999;
/** In remote's subnet, and where the intruder is really. */
const [FORGED, OWN] = ['7.7.8.66', '192.168.1.1'];

/** Prints from where each packet comes. */
const LISTENER = `
  const socket = require('node:dgram').createSocket('udp4', (_, from) => console.log(from.address));
  socket.bind(${PORT});`;

/** Sends two packets every 50 ms, the forged one first. */
const INTRUDER = `
  const { createSocket } = require('node:dgram');
  const sockets = ['${FORGED}', '${OWN}'].map((from) => createSocket('udp4').bind(0, from));
  setInterval(() => { for (const socket of sockets) socket.send('x', ${PORT}, '7.7.7.1', () => {}); }, 50);`;

async function addressesIn(listener: LabProcess): Promise<readonly string[]> {
  return (await readFile(listener.logFile, 'utf8')).split('\n').filter(Boolean);
}

/** So many more of those that may come in: meanwhile as many of the others were sent. */
async function untilMore(listener: LabProcess): Promise<void> {
  const honest = async (): Promise<number> => (await addressesIn(listener)).filter((from) => from === OWN).length;
  const before = await honest();
  await waitFor({
    what: 'packets of the intruder',
    observe: honest,
    until: (count) => count >= before + 20,
    timeoutMs: 15_000,
  });
}

/** What somebody has taken away is there again. */
async function untilWhole(lab: Lab): Promise<void> {
  const show = async (...argv: string[]): Promise<string> => (await lab.exec('edge1', ['ip', ...argv])).stdout;
  await waitFor({
    what: 'the rule, the interface and the route to remote',
    observe: async () => ({
      rules: await show('rule', 'show', 'priority', '214'),
      links: await show('link', 'show', 'type', 'xfrm', 'up'),
      routes: await show('route', 'show', 'table', '7447'),
    }),
    until: ({ rules, links, routes }) =>
      rules.includes('lookup 7447') && links.includes('cygnet-direct') && routes.includes('7.7.8.0/24'),
    timeoutMs: 30_000,
  });
}

it('what a peer’s subnet sends comes in through tunnels only, and goes there through tunnels only, whatever becomes of these', async () => {
  await using lab = await Lab.create({});
  const mesh = new Mesh(lab);
  await mesh.bringUp(meshSpec(lab.network, [['edge1', 'remote']]));
  const untilDirect = (): Promise<unknown> =>
    waitFor({
      what: 'a direct path',
      observe: async () => statusSchema.parse(JSON.parse(await mesh.agentctl('edge1', ['status', '--json']))).links,
      until: (links) => links.some(({ path }) => path === 'direct'),
      timeoutMs: DIRECT_MS,
    });
  await untilDirect();

  const router = lab.network.topology.edges.find(({ name }) => name === 'edge1')?.nat?.name as HostName;
  await lab.exec(router, ['ip', 'address', 'add', `${FORGED}/32`, 'dev', 'lo']);
  await lab.exec(router, ['ip', 'route', 'add', '7.7.7.0/24', 'via', '192.168.1.2']);
  await lab.exec(router, [
    'nft',
    'add table ip seen; add chain ip seen from_inside { type filter hook prerouting priority -200; }; add counter ip seen clear; add rule ip seen from_inside ip daddr 7.7.8.0/24 counter name clear',
  ]);
  const listener = await lab.spawn('edge1', 'listener', [process.execPath, '-e', LISTENER]);
  await lab.spawn(router, 'intruder', [process.execPath, '-e', INTRUDER]);

  await untilMore(listener);
  for (const argv of [
    ['rule', 'del', 'priority', '214'],
    ['link', 'set', 'cygnet-direct', 'down'],
    ['link', 'del', 'cygnet-direct'],
  ]) {
    await untilWhole(lab);
    await lab.exec('edge1', ['ip', ...argv]);
  }
  await untilWhole(lab);
  await untilMore(listener);
  await mesh.agentctl('edge1', ['reconnect', 'remote', '--json']);
  await untilMore(listener);
  await untilDirect();
  await mesh.stopAgent('edge1', 'SIGKILL');
  for (const ike of ['cygnet-peer-remote', 'cygnet-hub-master1']) {
    await lab.swanctl('edge1', ['--terminate', '--ike', ike, '--force', '--timeout', '5']);
  }
  await untilMore(listener);
  const { received } = await lab.ping('edge1', '7.7.8.1', { count: 3 });
  expect(received, 'without a tunnel').toBe(0);
  const { stdout: counted } = await lab.exec(router, ['nft', 'list', 'counter', 'ip', 'seen', 'clear']);
  expect(counted, 'what has left edge1 in clear text').toContain('packets 0 bytes 0');
  await mesh.startAgent('edge1');
  await untilDirect();
  await untilMore(listener);
  expect((await addressesIn(listener)).filter((from) => from !== OWN)).toEqual([]);
});
