import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { applyReplySchema } from '../../src/coordinator/api.ts';
import { limit, type Say } from '../bench/row.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import type { NodeIsBack } from './light-nodes.ts';
import { enrolNodes, starSpec } from './nodes.ts';
import type { Proof, ProofRow } from './proof.ts';

const NODES = 1000;
const PROCESSES = 2;
/** Each number of seconds that the coordinator is away; the long one drives all back-offs to their end. */
const OUTAGES = [1, 75] as const;
const BACK_S_MAX = 60;
/** Of so many, in one second; the mean of the long outage is 20. */
const BUSIEST_MAX = 100;

const timeName = (outage: number): string => `1,000 nodes back after a coordinator outage of ${outage} s`;
const BUSIEST = `1,000 nodes, those of them that come back in the busiest second after ${OUTAGES[1]} s`;

/** A thousand agents' control channels, and a coordinator that is restarted. */
export const herd: Proof = {
  names: [...OUTAGES.map(timeName), BUSIEST],
  measure: async (say) => {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-herd-'));
    const nodes = new Herd();
    let coordinator = await CoordinatorProcess.start({ program: COORDINATOR, folder });
    try {
      await nodes.start(await enrolled(coordinator, say), say);
      const rows: ProofRow[] = [];
      for (const outage of OUTAGES) {
        await coordinator.stop('SIGTERM');
        await delay(outage * 1000);
        coordinator = await CoordinatorProcess.start({ program: COORDINATOR, folder, port: coordinator.port });
        const backAfterMs = await nodes.allBack(Date.now());
        say(`back after ${outage} s: ${perSecond(backAfterMs).join(' ')}`);
        rows.push(limit(timeName(outage), 's', [Math.max(...backAfterMs) / 1000], BACK_S_MAX));
        if (outage === OUTAGES[1])
          rows.push(limit(BUSIEST, 'nodes', [Math.max(...perSecond(backAfterMs))], BUSIEST_MAX));
      }
      return rows;
    } finally {
      nodes.stop();
      await coordinator.stop('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  },
};

async function enrolled(coordinator: CoordinatorProcess, say: Say): Promise<NodeIdentity[]> {
  say(`enrolling ${NODES} nodes`);
  const identities = await enrolNodes(coordinator, 'node', NODES);
  const text = starSpec(
    identities.map(({ node }) => node),
    1,
  );
  await coordinator.api.send('PUT', '/v1/spec', applyReplySchema, { contentType: 'application/yaml', text });
  return identities;
}

/** How many came back in each second. */
function perSecond(backAfterMs: readonly number[]): number[] {
  const counts: number[] = Array(Math.ceil(Math.max(...backAfterMs) / 1000) + 1).fill(0) as number[];
  for (const ms of backAfterMs) {
    const second = Math.max(0, Math.floor(ms / 1000));
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return counts;
}

class Herd {
  readonly #processes: ChildProcess[] = [];
  readonly #backAtMs = new Map<string, number>();
  #count = 0;

  /** Resolves when each has its channel. */
  async start(identities: readonly NodeIdentity[], say: Say): Promise<void> {
    this.#count = identities.length;
    const share = Math.ceil(identities.length / PROCESSES);
    for (let index = 0; index < PROCESSES; index += 1) {
      const child = fork(fileURLToPath(new URL('light-nodes.js', import.meta.url)));
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
