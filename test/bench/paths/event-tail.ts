import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Scene } from './scene.ts';
import type { EdgeName } from '../../lab/topology.ts';

/** The part of a line of `agentctl events --json` that is looked at. */
const eventSchema = z.object({
  atMs: z.number(),
  kind: z.string(),
  connection: z.string().nullable(),
  message: z.string(),
});
export type AgentEvent = z.output<typeof eventSchema>;

/** An agent's events from now on, followed by an agentctl of its own. It ends with the agent. */
export class EventTail {
  readonly node: EdgeName;
  readonly #logFile: string;

  private constructor(node: EdgeName, logFile: string) {
    this.node = node;
    this.#logFile = logFile;
  }

  static async start({ lab, mesh }: Scene, node: EdgeName): Promise<EventTail> {
    const argv = mesh.agentctlArgv(node, ['events', '--follow', '--json']);
    const { logFile } = await lab.spawn(node, `events-${node}`, argv);
    return new EventTail(node, logFile);
  }

  /** Those at `sinceMs` (ms since the epoch) and later. */
  async since(sinceMs: number): Promise<readonly AgentEvent[]> {
    const output = await readFile(this.#logFile, 'utf8');
    // The last piece is empty, or a line that is still being written.
    const lines = output.split('\n').slice(0, -1);
    return lines.map((line) => eventSchema.parse(JSON.parse(line))).filter(({ atMs }) => atMs >= sinceMs);
  }
}

/** The agent has asked charon for the mediated tunnel. */
export function isMediatedInitiate({ kind, message, connection }: AgentEvent): boolean {
  return kind === 'step' && message === 'initiate-child' && connection?.startsWith('cygnet-peer-') === true;
}

export function isNowDirect({ kind, message }: AgentEvent): boolean {
  return kind === 'path' && message.endsWith('-> direct');
}
