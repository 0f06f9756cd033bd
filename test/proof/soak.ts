import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { encodeFrame } from '../../src/control/codec.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { applyReplySchema } from '../../src/coordinator/api.ts';
import { createLogger } from '../../src/log.ts';
import { dial } from './channel-client.ts';
import { startCoordinator } from './in-process.ts';
import { enrolNodes, hello, starSpec } from './nodes.ts';
import type { Say } from '../bench/row.ts';

export interface SoakOptions {
  readonly reconnects: number;
  readonly applies: number;
  readonly say: Say;
}

/** What a process holds. */
export interface Holdings {
  /** After a garbage collection. */
  readonly heapMb: number;
  readonly descriptors: number;
  readonly timers: number;
}

/** What it held after a tenth of the work, and at the end. */
export interface SoakResult {
  readonly early: Holdings;
  readonly late: Holdings;
}

/** Reconnects of one node; the coordinator lets each open so many channels at once. */
const CHANNELS_PER_NODE = 20;

/** A coordinator in this process whose nodes come and go, and whose spec changes, very many times. */
export async function soak({ reconnects, applies, say }: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-soak-'));
  const stop = new AbortController();
  const deps = { clock: systemClock, logger: createLogger('proof', 'silent') };
  const { url, ended } = await startCoordinator(folder, deps, stop.signal);
  try {
    const api = new LocalApi({ socketPath: join(folder, 'api.sock'), service: 'cygnet-coordinator' });
    const nodes = await enrolNodes({ api, url }, 'node', Math.ceil(reconnects / CHANNELS_PER_NODE));
    const linked = nodes.slice(0, 3).map(({ node }) => node);
    const apply = async (number: number): Promise<void> => {
      const body = { contentType: 'application/yaml', text: starSpec(linked, number) };
      await api.send('PUT', '/v1/spec', applyReplySchema, body);
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
    const early = await holdings();
    say(`after a tenth: ${JSON.stringify(early)}`);
    await repeated(reconnects * 0.9, (number) => reconnect(reconnects / 10 + number));
    await repeated(applies * 0.9, (number) => apply(applies / 10 + number));
    const late = await holdings();
    say(`at the end: ${JSON.stringify(late)}`);
    return { early, late };
  } finally {
    stop.abort();
    await ended;
    rmSync(folder, { recursive: true });
  }
}

async function repeated(times: number, work: (number: number) => Promise<void>): Promise<void> {
  for (let number = 1; number <= times; number += 1) await work(number);
}

/** Once what is closing has closed. */
async function holdings(): Promise<Holdings> {
  await new Promise((resolve) => setTimeout(resolve, 2000));
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What a finalizer frees goes with the second one.
  for (let round = 0; round < 3; round += 1) {
    collect();
    await new Promise(setImmediate);
  }
  return {
    heapMb: process.memoryUsage().heapUsed / 1024 / 1024,
    descriptors: readdirSync('/proc/self/fd').length,
    timers: process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length,
  };
}
