import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { applyReplySchema, nodesReplySchema, specReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { Database } from '../../src/coordinator/database.ts';
import { messageOf } from '../../src/errors.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { enroll } from '../../src/identity/enroll.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import type { Findings } from './proof.ts';

export interface KillLoopOptions {
  /** Path of the compiled `cygnet-coordinator`. */
  readonly program: string;
  readonly kills: number;
  /** Yields [0, 1): when each kill comes. */
  readonly random: () => number;
}

/** A kill comes this long after the first write was asked for, at most. */
const BURST_MS_MAX = 120;

/** What the coordinator has said to have done. */
interface Acknowledged {
  spec: { readonly revision: number; readonly text: string };
  readonly enrolled: Set<string>;
  /** Not used yet. */
  readonly tokens: Map<string, string>;
  writes: number;
}

/**
 * Starts a coordinator, has it write specs, tokens and nodes as fast as it can, and kills it in between, again and again
 * on the same store. After each start all that was acknowledged before must be there, and the file be whole.
 */
export async function killLoop({ program, kills, random }: KillLoopOptions): Promise<Findings> {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-kill-'));
  const acknowledged: Acknowledged = {
    spec: { revision: 0, text: '' },
    enrolled: new Set(),
    tokens: new Map(),
    writes: 0,
  };
  const wrong: string[] = [];
  try {
    for (let kill = 1; kill <= kills; kill += 1) {
      const problems = await killOnce({ program, folder, acknowledged, random });
      wrong.push(...problems.map((problem) => `kill ${kill}: ${problem}`));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { cases: kills, wrong, seen: { 'acknowledged writes': acknowledged.writes } };
}

interface Round extends Omit<KillLoopOptions, 'kills'> {
  readonly folder: string;
  readonly acknowledged: Acknowledged;
}

async function killOnce({ program, folder, acknowledged, random }: Round): Promise<string[]> {
  const coordinator = await CoordinatorProcess.start({ program, folder });
  try {
    const lost = await whatIsLost(coordinator, acknowledged);
    const writing = [applies, tokens, enrolments].map((write) => write(coordinator, acknowledged).catch(isKilled));
    await delay(random() * BURST_MS_MAX);
    await coordinator.stop('SIGKILL');
    const failures = (await Promise.all(writing)).filter((failure) => failure !== undefined);
    return [...lost, ...failures, ...damageIn(folder)];
  } finally {
    await coordinator.stop('SIGKILL');
  }
}

async function whatIsLost({ api, url }: CoordinatorProcess, acknowledged: Acknowledged): Promise<string[]> {
  const lost: string[] = [];
  const { spec, enrolled } = acknowledged;
  const found = spec.revision === 0 ? spec : await api.get('/v1/spec', specReplySchema);
  if (found.revision < spec.revision) lost.push(`revision ${found.revision} is in force, not ${spec.revision}`);
  if (found.revision === spec.revision && found.text !== spec.text)
    lost.push(`revision ${spec.revision} is another one`);
  const { nodes } = await api.get('/v1/nodes', nodesReplySchema);
  const known = new Set(nodes.filter(({ enrolledAtMs }) => enrolledAtMs !== null).map(({ name }) => name));
  lost.push(...[...enrolled].filter((node) => !known.has(node)).map((node) => `${node} is not enrolled any more`));
  for (const [node, token] of acknowledged.tokens) {
    acknowledged.tokens.delete(node);
    await enrolAs(url, token).catch((error: unknown) => lost.push(`the token of ${node}: ${messageOf(error)}`));
  }
  return lost;
}

/** Each of these goes on until the coordinator is gone, and then rejects. */
type Writing = (coordinator: CoordinatorProcess, acknowledged: Acknowledged) => Promise<never>;

const applies: Writing = async ({ api }, acknowledged) => {
  for (;;) {
    const text = specText(acknowledged.spec.revision + 1);
    const body = { contentType: 'application/yaml', text };
    const { revision } = await api.send('PUT', '/v1/spec', applyReplySchema, body);
    acknowledged.spec = { revision, text };
    acknowledged.writes += 1;
  }
};

const tokens: Writing = async (coordinator, acknowledged) => {
  for (;;) {
    const { node, token } = await newToken(coordinator, acknowledged);
    // One in so many is used after the next start.
    if (acknowledged.tokens.size < 2) acknowledged.tokens.set(node, token);
  }
};

const enrolments: Writing = async (coordinator, acknowledged) => {
  for (;;) {
    const { node, token } = await newToken(coordinator, acknowledged);
    await enrolAs(coordinator.url, token);
    acknowledged.enrolled.add(node);
    acknowledged.writes += 1;
  }
};

async function newToken(
  { api }: CoordinatorProcess,
  acknowledged: Acknowledged,
): Promise<{ node: string; token: string }> {
  const node = `node-${acknowledged.writes}`;
  const body = { contentType: 'application/json', text: JSON.stringify({ node, ttlSeconds: 86_400 }) };
  const { token } = await api.send('POST', '/v1/tokens', tokenReplySchema, body);
  acknowledged.writes += 1;
  return { node, token };
}

async function enrolAs(coordinatorUrl: string, token: string): Promise<void> {
  const csr = async (): Promise<string> => createCsr(await generatePrivateKey('ecdsa-p256'));
  const { signal } = new AbortController();
  await enroll({ coordinatorUrl, token, channelCsr: await csr(), ikeCsr: await csr(), nowMs: Date.now(), signal });
}

/** Two sites and a hub; the number makes each text, and each node's state, another one. */
function specText(number: number): string {
  const subnet = `10.${number % 200}.${Math.floor(number / 200) % 200}.0/24`;
  return `# ${number}
nodes:
  hub: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [${subnet}] }
  a: { subnets: [192.168.1.0/24] }
  b: { subnets: [192.168.2.0/24] }
links: [[a, b], [a, hub], [b, hub]]
`;
}

/** The end that was meant; what else went wrong is told. */
function isKilled(error: unknown): string | undefined {
  const message = messageOf(error);
  return /hung up|not running|ECONNRESET|ECONNREFUSED|socket hang up|no answer|disconnected before/i.test(message)
    ? undefined
    : message;
}

/** Looks at a copy, so that it is the coordinator that finds the log of the killed one. */
export function damageIn(folder: string): string[] {
  const copy = join(folder, 'copy.db');
  try {
    for (const suffix of ['', '-wal', '-shm', '-journal']) {
      const file = join(folder, 'state', `coordinator.db${suffix}`);
      if (existsSync(file)) copyFileSync(file, copy + suffix);
    }
    const database = new Database(copy);
    const damage = database.damage();
    database.close();
    return damage.map((finding) => `the database is damaged: ${finding}`);
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(copy + suffix, { force: true });
  }
}
