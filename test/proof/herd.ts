import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { applyReplySchema } from '../../src/coordinator/api.ts';
import type { Say } from '../bench/row.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import type { NodeIsBack } from './light-nodes.ts';
import { enrolNodes, starSpec } from './nodes.ts';

export interface HerdOptions {
  /** Path of the compiled `cygnet-coordinator`. */
  readonly program: string;
  /** Path of the compiled `light-nodes.ts`. */
  readonly holder: string;
  readonly nodes: number;
  /** Processes that hold them. */
  readonly processes: number;
  /** Each number of seconds that the coordinator is away, one after the other. */
  readonly outages: readonly number[];
  readonly say: Say;
}

/**
 * Many agents' control channels, and a coordinator that goes and comes back. Resolves to the ms after its start in which
 * each node was back, for each outage; rejects when one stays away.
 */
export async function herdOutages(options: HerdOptions): Promise<number[][]> {
  const { program, outages, say } = options;
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-herd-'));
  const nodes = new Herd(options);
  let coordinator = await CoordinatorProcess.start({ program, folder });
  try {
    await nodes.start(await enrolled(coordinator, options), say);
    const all: number[][] = [];
    for (const outage of outages) {
      await coordinator.stop('SIGTERM');
      await delay(outage * 1000);
      coordinator = await CoordinatorProcess.start({ program, folder, port: coordinator.port });
      all.push(await nodes.allBack(Date.now()));
    }
    return all;
  } finally {
    nodes.stop();
    await coordinator.stop('SIGKILL');
    rmSync(folder, { recursive: true });
  }
}

async function enrolled(coordinator: CoordinatorProcess, { nodes, say }: HerdOptions): Promise<NodeIdentity[]> {
  say(`enrolling ${nodes} nodes`);
  const identities = await enrolNodes(coordinator, 'node', nodes);
  const text = starSpec(
    identities.map(({ node }) => node),
    1,
  );
  await coordinator.api.send('PUT', '/v1/spec', applyReplySchema, { contentType: 'application/yaml', text });
  return identities;
}

class Herd {
  readonly #processes: ChildProcess[] = [];
  readonly #backAtMs = new Map<string, number>();
  readonly #options: Pick<HerdOptions, 'holder' | 'processes'>;
  #count = 0;

  constructor(options: Pick<HerdOptions, 'holder' | 'processes'>) {
    this.#options = options;
  }

  /** Resolves when each has its channel. */
  async start(identities: readonly NodeIdentity[], say: Say): Promise<void> {
    this.#count = identities.length;
    const { holder, processes } = this.#options;
    const share = Math.ceil(identities.length / processes);
    for (let index = 0; index < processes; index += 1) {
      const child = fork(holder);
      child.on('message', ({ node, atMs }: NodeIsBack) => this.#backAtMs.set(node, atMs));
      await once(child, 'spawn');
      child.send(identities.slice(index * share, (index + 1) * share));
      this.#processes.push(child);
    }
    const startedMs = Date.now();
    await this.allBack(0);
    say(`all are here after ${Math.round((Date.now() - startedMs) / 1000)} s`);
  }

  /** Resolves when each has been back since then, to the ms that it took each. Gives up after three minutes. */
  async allBack(sinceMs: number): Promise<number[]> {
    for (const deadlineMs = Date.now() + 180_000; Date.now() < deadlineMs; await delay(50)) {
      const back = [...this.#backAtMs.values()].filter((atMs) => atMs >= sinceMs);
      if (back.length === this.#count) return back.map((atMs) => atMs - sinceMs);
    }
    const missing = this.#count - [...this.#backAtMs.values()].filter((atMs) => atMs >= sinceMs).length;
    throw new Error(`${missing} nodes have not come back`);
  }

  stop(): void {
    for (const child of this.#processes) child.kill('SIGKILL');
  }
}
