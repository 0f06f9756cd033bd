import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { applyReplySchema, nodesReplySchema, specReplySchema } from '../../src/coordinator/api.ts';
import { messageOf } from '../../src/errors.ts';
import { AttentiveNodes } from './attentive-nodes.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { damageIn } from './kill-loop.ts';
import { enrolNodes, starSpec } from './nodes.ts';
import type { Findings } from './proof.ts';
import { callsIn, isInjected, pointName, pointsOf, straceArgv, type CallPoint, type Injection } from './strace.ts';

/**
 * A coordinator with a node puts a spec into force, once for each system call on its database that this takes, and the disk
 * is full at that call. Says what was wrong: an apply that is neither in force nor refused for that reason, something of a
 * refused one in force, no way on once there is room, a node that is not told, a database that is damaged.
 *
 * @param program path of the compiled `cygnet-coordinator`
 */
export async function databaseFaults(program: string): Promise<Findings> {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-full-'));
  const wrong: string[] = [];
  let [cases, refused] = [0, 0];
  try {
    const beginning = await Beginning.make(program, folder);
    for (const point of await beginning.pointsOfApply()) {
      const { problem, isRefused, isMet } = await beginning.goOn({ ...point, fault: 'ENOSPC' });
      if (problem !== undefined) wrong.push(`ENOSPC at ${pointName(point)}: ${problem}`);
      if (isMet) cases += 1;
      if (isRefused) refused += 1;
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  if (refused === 0) wrong.push('no apply was refused');
  return { cases, wrong, seen: { 'applies refused': refused } };
}

interface Outcome {
  readonly problem: string | undefined;
  readonly isRefused: boolean;
  /** Whether it came to the call. */
  readonly isMet: boolean;
}

/** A coordinator with one node, and a spec in force; each case goes on with a copy of it. */
class Beginning {
  readonly #program: string;
  readonly #folder: string;
  readonly #port: number;
  readonly #node: NodeIdentity;

  private constructor(program: string, folder: string, port: number, node: NodeIdentity) {
    this.#program = program;
    this.#folder = folder;
    this.#port = port;
    this.#node = node;
  }

  static async make(program: string, folder: string): Promise<Beginning> {
    const coordinator = await CoordinatorProcess.start({ program, folder: join(folder, 'beginning') });
    try {
      const [node] = await enrolNodes(coordinator, 'node', 1);
      if (node === undefined) throw new Error('no node was enrolled');
      await apply(coordinator, 1);
      return new Beginning(program, folder, coordinator.port, node);
    } finally {
      await coordinator.stop('SIGTERM');
    }
  }

  /** What an apply does to the database when nothing happens to it. */
  async pointsOfApply(): Promise<readonly CallPoint[]> {
    const copy = this.#copy();
    const log = `${copy}.strace`;
    const calls = (): readonly CallPoint[] => pointsOf(callsIn(readFileSync(log, 'utf8')));
    return await this.#inCopy(copy, straceArgv({ paths: databaseIn(copy), log }), async (coordinator, node) => {
      const before = calls().length;
      await node.haveConfirmed(await apply(coordinator, 2));
      return calls().slice(before);
    });
  }

  async goOn(injection: Injection): Promise<Outcome> {
    const copy = this.#copy();
    const log = `${copy}.strace`;
    let isRefused = false;
    const problems: string[] = [];
    try {
      const argv = straceArgv({ paths: databaseIn(copy), log, injection });
      await this.#inCopy(copy, argv, async (coordinator, node) => {
        const refusal = await apply(coordinator, 2).then(() => undefined, messageOf);
        isRefused = refusal !== undefined;
        if (refusal !== undefined && !/full/.test(refusal)) problems.push(`it was refused: ${refusal}`);
        problems.push(...(await notInForce(coordinator, isRefused ? 1 : 2)));
        // There is room again.
        await node.haveConfirmed(await apply(coordinator, 3));
        problems.push(...(await notInForce(coordinator, 3)));
      });
      problems.push(...damageIn(copy));
      await this.#inCopy(copy, undefined, async (coordinator) => {
        problems.push(...(await notInForce(coordinator, 3)));
      });
    } catch (error) {
      problems.push(messageOf(error));
    }
    return { problem: problems[0], isRefused, isMet: isInjected(readFileSync(log, 'utf8')) };
  }

  #copy(): string {
    const copy = mkdtempSync(join(this.#folder, 'copy-'));
    cpSync(join(this.#folder, 'beginning/state'), join(copy, 'state'), { recursive: true });
    return copy;
  }

  /** With the coordinator, and the node when it has confirmed what is in force. */
  async #inCopy<T>(
    folder: string,
    under: readonly string[] | undefined,
    use: (coordinator: CoordinatorProcess, node: AttentiveNodes) => Promise<T>,
  ): Promise<T> {
    const setup = { program: this.#program, folder, port: this.#port, ...(under && { under }) };
    const coordinator = await CoordinatorProcess.start(setup);
    try {
      await using node = new AttentiveNodes([this.#node]);
      await node.haveConfirmed(1);
      return await use(coordinator, node);
    } finally {
      await coordinator.stop('SIGKILL');
    }
  }
}

function databaseIn(folder: string): string[] {
  const state = join(folder, 'state');
  return [state, ...['', '-wal', '-journal'].map((suffix) => join(state, `coordinator.db${suffix}`))];
}

function specText(number: number): string {
  return starSpec(['node-1'], number);
}

/** Returns the revision. */
async function apply({ api }: CoordinatorProcess, number: number): Promise<number> {
  const body = { contentType: 'application/yaml', text: specText(number) };
  return (await api.send('PUT', '/v1/spec', applyReplySchema, body)).revision;
}

/** What is not as it is when all of this spec is in force, and nothing of another one. */
async function notInForce({ api }: CoordinatorProcess, number: number): Promise<string[]> {
  const { revision, text } = await api.get('/v1/spec', specReplySchema);
  const { nodes } = await api.get('/v1/nodes', nodesReplySchema);
  return [
    ...(text === specText(number) ? [] : [`another spec is in force than ${number}`]),
    ...nodes
      .filter(({ wantedGeneration }) => wantedGeneration !== revision)
      .map(({ name, wantedGeneration }) => `${name} is to have ${wantedGeneration}, not ${revision}`),
  ];
}
