import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { applyReplySchema } from '../../src/coordinator/api.ts';
import { messageOf } from '../../src/errors.ts';
import { limit } from '../bench/row.ts';
import { ATTACKS } from './attacks.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import type { Measured } from './honest-nodes.ts';
import { enrolNodes, starSpec } from './nodes.ts';
import { never, type Proof } from './proof.ts';

const HONEST_NODES = 5;
const GROWTH_MB_MAX = 64;
const P99_MS_MAX = 200;

const ANSWERS = 'hostile peers answered as they should be';
const MEMORY = 'coordinator memory, growth under hostile peers';
const LATENCY = 'honest nodes under hostile peers, p99 of an answer';
const LOST = 'honest channels under hostile peers';

/** Strangers and nodes that send what they should not, one attack after the other, beside nodes that behave. */
export const hostilePeers: Proof = {
  names: [ANSWERS, MEMORY, LATENCY, LOST],
  measure: async (say) => {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-hostile-'));
    const coordinator = await CoordinatorProcess.start({ program: COORDINATOR, folder });
    let honest: ChildProcess | undefined;
    try {
      const names = Object.keys(ATTACKS);
      const attackers = await enrolNodes(coordinator, 'attacker', names.length);
      const good = await enrolNodes(coordinator, 'honest', HONEST_NODES);
      const text = starSpec(
        [...attackers, ...good].map(({ node }) => node),
        1,
      );
      await coordinator.api.send('PUT', '/v1/spec', applyReplySchema, { contentType: 'application/yaml', text });
      honest = fork(fileURLToPath(new URL('honest-nodes.js', import.meta.url)));
      await once(honest, 'spawn');
      honest.send(good);
      await once(honest, 'message');
      await delay(3000);
      const quiet = await measured(honest);
      say(`without attacks p99 is ${quiet.p99Ms.toFixed(1)} ms`);
      const memory = new MemoryWatch(coordinator.pid);
      const wrong: string[] = [];
      const worstMs: number[] = [];
      for (const [index, name] of names.entries()) {
        const identity = attackers[index];
        const attack = ATTACKS[name];
        if (identity === undefined || attack === undefined) continue;
        const problem = await attack({ port: coordinator.port, identity }).catch(messageOf);
        if (problem !== undefined) wrong.push(`${name}: ${problem}`);
        if (!coordinator.isRunning) throw new Error(`the coordinator died of: ${name}`);
        // So that short ones have an effect to be seen, too.
        await delay(500);
        const { p99Ms, answers } = await measured(honest);
        worstMs.push(p99Ms);
        say(
          `${name}: p99 ${p99Ms.toFixed(1)} ms of ${answers}, ${memory.nowMb.toFixed(0)} MB${problem === undefined ? '' : `: ${problem}`}`,
        );
      }
      const { lost } = await measured(honest);
      return [
        never(ANSWERS, 'wrong answers', { cases: names.length, wrong }),
        limit(MEMORY, 'MB', [memory.stop()], GROWTH_MB_MAX),
        limit(LATENCY, 'ms', worstMs, P99_MS_MAX),
        limit(LOST, 'lost', [lost], 0),
      ];
    } finally {
      honest?.kill('SIGKILL');
      await coordinator.stop('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  },
};

async function measured(honest: ChildProcess): Promise<Measured> {
  const answer = once(honest, 'message') as Promise<[Measured]>;
  honest.send('measured?');
  return (await answer)[0];
}

/** Watches a process's resident memory. */
class MemoryWatch {
  readonly #pid: number;
  readonly #baseMb: number;
  readonly #timer: NodeJS.Timeout;
  #maxMb: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#baseMb = this.nowMb;
    this.#maxMb = this.#baseMb;
    this.#timer = setInterval(() => (this.#maxMb = Math.max(this.#maxMb, this.nowMb)), 100);
  }

  get nowMb(): number {
    return residentMb(this.#pid);
  }

  /** By how much it has been more than at the beginning, at most. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#maxMb - this.#baseMb;
  }
}

export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}
