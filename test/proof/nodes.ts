import { ControlChannel } from '../../src/agent/channel.ts';
import { enrolNode } from '../../src/agent/enrol.ts';
import { pinnedTrust, type PinnedKeys } from '../../src/agent/state-trust.ts';
import { storedIn, type NodeIdentity } from '../../src/agent/stored.ts';
import { systemClock } from '../../src/clock.ts';
import { tokenReplySchema } from '../../src/coordinator/api.ts';
import { PROTOCOL_VERSION, type AgentFrame, type CoordinatorFrame } from '../../src/control/frames.ts';
import { createLogger } from '../../src/log.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CoordinatorProcess } from './coordinator-process.ts';

/** Enrolments at once. */
const LANES = 4;

type Coordinator = Pick<CoordinatorProcess, 'api' | 'url'>;

/** Lets so many nodes into the mesh, as agents do it; they are called `prefix-1` and so on. */
export async function enrolNodes(coordinator: Coordinator, prefix: string, count: number): Promise<NodeIdentity[]> {
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  const identities: NodeIdentity[] = [];
  const lane = async (): Promise<void> => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      identities.push(await enrolled(coordinator, name));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return identities;
}

async function enrolled({ api, url }: Coordinator, node: string): Promise<NodeIdentity> {
  const body = { contentType: 'application/json', text: JSON.stringify({ node, ttlSeconds: 3600 }) };
  const { token } = await api.send('POST', '/v1/tokens', tokenReplySchema, body);
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-node-'));
  try {
    const { signal } = new AbortController();
    const deps = {
      stored: storedIn(folder),
      keyType: 'ecdsa-p256',
      isIkePlaced: false,
      clock: systemClock,
      pinned: (keys: PinnedKeys) => pinnedTrust(keys, undefined, undefined),
      identity: () => undefined,
      onUnusable: () => undefined,
    } as const;
    return (await enrolNode(deps, { coordinator: url, token }, signal)).identity;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface LightNodeHooks {
  readonly opened?: () => void;
  readonly received?: (frame: CoordinatorFrame) => void;
}

/** An agent's own control channel without an agent behind it. */
export function lightNode(identity: NodeIdentity, { opened, received }: LightNodeHooks): ControlChannel {
  return new ControlChannel({
    identity,
    clock: systemClock,
    random: Math.random,
    logger: createLogger('proof', 'silent'),
    hello,
    opened: () => opened?.(),
    refused: () => undefined,
    received: (frame) => received?.(frame),
  });
}

/** Of a node that holds nothing. */
export function hello(): AgentFrame {
  return {
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    agentVersion: 'proof',
    epoch: null,
    generation: 0,
    digest: null,
    keys: [],
  };
}

/** A mesh of one hub and the nodes, each linked with the hub. The number makes the hub's part, and theirs, another one. */
export function starSpec(nodes: readonly string[], number: number): string {
  const subnet = `10.${number % 200}.${Math.floor(number / 200) % 200}.0/24`;
  return `# ${number}
nodes:
  hub: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [${subnet}] }
${nodes.map((name, index) => `  ${name}: { subnets: [172.${16 + (index >> 8)}.${index & 255}.0/24] }\n`).join('')}links:
${nodes.map((name) => `  - [${name}, hub]\n`).join('')}`;
}
