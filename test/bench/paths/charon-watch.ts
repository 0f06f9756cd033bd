import type { Lab } from '../../lab/lab.ts';
import { identityOf, isAlive, type ProcessIdentity } from '../../lab/process-identity.ts';
import type { NodeName } from '../../lab/topology.ts';

const ANSWER_MS_MAX = 10_000;

/** What is needed of a lab. */
export type WatchedLab = Pick<Lab, 'nodes' | 'killCharon' | 'startCharon' | 'swanctl'> & {
  readonly charonOf: (node: NodeName) => { readonly pid: number };
};

/** The charons of a lab: each is to stay the process that it is, except where it is killed here. */
export class CharonWatch {
  readonly #lab: WatchedLab;
  readonly #processes = new Map<NodeName, ProcessIdentity | undefined>();
  /** Those that were not there any more when they were to be killed. */
  readonly #gone = new Set<NodeName>();

  private constructor(lab: WatchedLab) {
    this.#lab = lab;
  }

  /** Of charons that run. */
  static async begin(lab: WatchedLab): Promise<CharonWatch> {
    const watch = new CharonWatch(lab);
    for (const node of lab.nodes) await watch.#note(node);
    return watch;
  }

  async kill(node: NodeName): Promise<void> {
    if (!(await this.#isSame(node))) this.#gone.add(node);
    await this.#lab.killCharon(node);
  }

  /** After it was killed. */
  async start(node: NodeName): Promise<void> {
    await this.#lab.startCharon(node);
    await this.#note(node);
  }

  /** Those that have ended by themselves since the beginning, or do not answer now. */
  async failed(): Promise<readonly NodeName[]> {
    const { nodes } = this.#lab;
    const fine = await Promise.all(
      nodes.map(async (node) => (await this.#isSame(node)) && (await this.#answers(node))),
    );
    return nodes.filter((node, index) => this.#gone.has(node) || !fine[index]);
  }

  async #note(node: NodeName): Promise<void> {
    this.#processes.set(node, await identityOf(this.#lab.charonOf(node).pid));
  }

  async #isSame(node: NodeName): Promise<boolean> {
    const process = this.#processes.get(node);
    return process !== undefined && (await isAlive(process));
  }

  #answers(node: NodeName): Promise<boolean> {
    return this.#lab.swanctl(node, ['--stats'], { timeoutMs: ANSWER_MS_MAX }).then(
      () => true,
      () => false,
    );
  }
}
