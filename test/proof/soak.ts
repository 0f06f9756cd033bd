import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { encodeFrame } from '../../src/control/codec.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { applyReplySchema, nodesReplySchema } from '../../src/coordinator/api.ts';
import { createLogger } from '../../src/log.ts';
import { AttentiveNodes } from './attentive-nodes.ts';
import { dial } from './channel-client.ts';
import { startCoordinator } from './in-process.ts';
import { enrolNodes, hello, starSpec } from './nodes.ts';
import type { Say } from '../bench/row.ts';

export interface SoakOptions {
  readonly reconnects: number;
  readonly applies: number;
  readonly say: Say;
}

/** What a process holds, after a garbage collection. */
export interface Holdings {
  /** On the heap, and in buffers beside it. */
  readonly memoryMb: number;
  /** Functions among them: what listens, and what a timer calls, also where that keeps no process alive. */
  readonly objects: number;
  readonly descriptors: number;
  /** Those that keep the process alive. */
  readonly timers: number;
}

/** What it held after a tenth of the work, and at the end. */
export interface SoakResult {
  readonly early: Holdings;
  readonly late: Holdings;
  /** States that nodes were told of an apply and have confirmed. */
  readonly confirmed: number;
}

/** Nodes whose channels stay open, and whose states each apply changes. */
export const ATTENTIVE_NODES = 3;

/** Reconnects of one node; the coordinator lets each open so many channels at once. */
const CHANNELS_PER_NODE = 20;

/** Looks at what is held, until two in a row see the same. */
const LOOKS_MAX = 50;
const LOOK_EVERY_MS = 100;

/**
 * A coordinator in this process whose nodes come and go, and whose spec changes, very many times: each change reaches the nodes
 * that stay and is confirmed by them before the next one is made. Rejects when one is not.
 */
export async function soak({ reconnects, applies, say }: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-soak-'));
  const stop = new AbortController();
  const deps = { clock: systemClock, logger: createLogger('proof', 'silent') };
  const { url, ended } = await startCoordinator(folder, deps, stop.signal);
  try {
    const api = new LocalApi({ socketPath: join(folder, 'api.sock'), service: 'cygnet-coordinator' });
    const nodes = await enrolNodes({ api, url }, 'node', Math.ceil(reconnects / CHANNELS_PER_NODE));
    const staying = await enrolNodes({ api, url }, 'staying', ATTENTIVE_NODES);
    await using attentive = new AttentiveNodes(staying);
    const linked = [...staying, ...nodes.slice(0, 3)].map(({ node }) => node);
    const apply = async (number: number): Promise<void> => {
      const body = { contentType: 'application/yaml', text: starSpec(linked, number) };
      const { revision } = await api.send('PUT', '/v1/spec', applyReplySchema, body);
      await attentive.haveConfirmed(revision);
    };
    const reconnect = async (number: number): Promise<void> => {
      const identity = nodes[number % nodes.length];
      if (identity === undefined) return;
      const socket = dial(identity);
      await once(socket, 'open');
      socket.send(encodeFrame(hello()));
      socket.close();
      await once(socket, 'close');
    };
    await apply(0);
    await repeated(reconnects / 10, reconnect);
    await repeated(applies / 10, apply);
    const early = await holdings(api);
    say(`after a tenth: ${JSON.stringify(early)}`);
    await repeated(reconnects * 0.9, (number) => reconnect(reconnects / 10 + number));
    await repeated(applies * 0.9, (number) => apply(applies / 10 + number));
    const late = await holdings(api);
    say(`at the end: ${JSON.stringify(late)}`);
    await expectConfirmed(api, staying);
    return { early, late, confirmed: attentive.answers };
  } finally {
    stop.abort();
    await ended;
    rmSync(folder, { recursive: true });
  }
}

/** The coordinator has taken in what they have said. */
async function expectConfirmed(api: LocalApi, identities: readonly NodeIdentity[]): Promise<void> {
  const names = new Set(identities.map(({ node }) => node));
  const { nodes } = await api.get('/v1/nodes', nodesReplySchema);
  const behind = nodes.filter(({ name, state }) => names.has(name) && state !== 'ok').map(({ name }) => name);
  if (behind.length > 0) throw new Error(`not confirmed: ${behind.join(', ')}`);
}

async function repeated(times: number, work: (number: number) => Promise<void>): Promise<void> {
  for (let number = 1; number <= times; number += 1) await work(number);
}

/** Once all that nodes told is written, and what is closing has closed: when nothing changes any more. */
async function holdings(api: LocalApi): Promise<Holdings> {
  // A backup has everything in it, so it is written before.
  await buffer(api.download('/v1/backup'));
  let last = holdingsNow();
  for (let look = 1; look < LOOKS_MAX; look += 1) {
    await delay(LOOK_EVERY_MS);
    const now = holdingsNow();
    const isSame = (['objects', 'descriptors', 'timers'] as const).every((what) => now[what] === last[what]);
    if (isSame) return now;
    last = now;
  }
  return last;
}

function holdingsNow(): Holdings {
  // It collects garbage first.
  const objects = queryObjects(Object, { format: 'count' });
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    memoryMb: (heapUsed + arrayBuffers) / 1024 / 1024,
    objects,
    descriptors: readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length,
  };
}
