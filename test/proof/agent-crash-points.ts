import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/errors.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { Life } from './agent-life.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import type { Findings } from './proof.ts';
import { pointName, pointsOf, type CallPoint, type Fault, type Injection } from './strace.ts';

export interface AgentCrashOptions {
  /** Paths of the compiled programs. */
  readonly agent: string;
  readonly coordinator: string;
  /** Each of them at each point. */
  readonly faults: readonly Fault[];
  /** Which of all points are tried. */
  readonly choose: (points: readonly CallPoint[]) => readonly CallPoint[];
  /** Lives that are lived at once. */
  readonly lanes: number;
}

/**
 * Lives the life of an agent (enrolment, a state, another state, a renewal) once for each system call on its state folder
 * that it takes, and kills it at that call, or has the call fail. Says what was wrong: files that are neither the old nor
 * the new ones, a generation that is older than what was acknowledged, a life that could not go on, a failure that it did
 * not tell of.
 */
export async function agentCrashPoints(options: AgentCrashOptions): Promise<Findings> {
  const wrong: string[] = [];
  const missed: string[] = [];
  const lanes = await Promise.all(Array.from({ length: options.lanes }, () => Lane.open(options)));
  try {
    const points = options.choose(pointsOf((await lanes[0]?.rehearsal()) ?? []));
    const waiting = points.flatMap((point) => options.faults.map((fault) => ({ ...point, fault })));
    const cases = waiting.length;
    const work = async (lane: Lane): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { problem, isMet } = await lane.live(next);
        if (problem !== undefined) wrong.push(`${next.fault} at ${pointName(next)}: ${problem}`);
        else if (!isMet) missed.push(pointName(next));
      }
    };
    await Promise.all(lanes.map(work));
    return { cases: cases - missed.length, wrong, seen: { 'points that a life did not come to': missed.length } };
  } finally {
    await Promise.all(lanes.map((lane) => lane[Symbol.asyncDispose]()));
  }
}

/** A coordinator and a charon for one life after the other. */
class Lane implements AsyncDisposable {
  readonly #options: AgentCrashOptions;
  readonly #folder: string;
  readonly #coordinator: CoordinatorProcess;
  readonly #charon: FakeCharon;
  #lives = 0;

  private constructor(options: AgentCrashOptions, folder: string, coordinator: CoordinatorProcess, charon: FakeCharon) {
    this.#options = options;
    this.#folder = folder;
    this.#coordinator = coordinator;
    this.#charon = charon;
  }

  static async open(options: AgentCrashOptions): Promise<Lane> {
    const folder = mkdtempSync(join(tmpdir(), 'cygnet-agent-crash-'));
    const coordinator = await CoordinatorProcess.start({ program: options.coordinator, folder });
    return new Lane(options, folder, coordinator, await FakeCharon.start());
  }

  /** The system calls of a life that nothing happens to. */
  async rehearsal(): Promise<readonly string[]> {
    const life = await this.#begin();
    await life.run(undefined);
    return life.calls;
  }

  async live(injection: Injection): Promise<{ readonly problem: string | undefined; readonly isMet: boolean }> {
    const life = await this.#begin();
    try {
      await life.run(injection);
      return { problem: life.problem, isMet: life.isMet };
    } catch (error) {
      return { problem: life.problem ?? messageOf(error), isMet: life.isMet };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#coordinator.stop('SIGKILL');
    await this.#charon[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }

  async #begin(): Promise<Life> {
    this.#lives += 1;
    await this.#charon.restart();
    const node = `node-${this.#lives}`;
    return new Life({
      node,
      program: this.#options.agent,
      folder: join(this.#folder, node),
      coordinator: this.#coordinator,
      viciSocket: this.#charon.socketPath,
    });
  }
}
