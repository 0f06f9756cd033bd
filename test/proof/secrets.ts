import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { statusSchema } from '../../src/agent/api.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { jsonBody, LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import {
  apiTokenReplySchema,
  applyReplySchema,
  nodesReplySchema,
  tokenReplySchema,
} from '../../src/coordinator/api.ts';
import { createLogger } from '../../src/log.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { stateDirIn } from './agent-process.ts';
import { captureFrames } from './captured-frames.ts';
import { startAgent, startCoordinator } from './in-process.ts';
import type { Findings } from './proof.ts';

/** No mesh addresses: an agent would put them on this machine. */
const SPEC = `meshRange: "off"
nodes:
  hub: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [10.0.0.0/24] }
  edge: { subnets: [10.0.1.0/24] }
links: [[edge, hub]]
`;

/** Where a secret must not be, by name. */
export type Places = Map<string, Buffer[]>;

/**
 * One node from its token to a desired state in charon, with coordinator and agent in this process at their most talkative
 * and a charon of the tests; then a search for every secret of the run in all that left its place.
 */
export async function secretsThatLeaked(agentctl: string): Promise<Findings> {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-secrets-'));
  const places: Places = new Map();
  const seen = (place: string, data: string | Uint8Array): void => {
    places.set(place, [...(places.get(place) ?? []), Buffer.from(data)]);
  };
  const stopCapture = captureFrames((frame) => seen('frames', frame));
  const logger = createLogger('proof', 'debug', { write: (line: string) => seen('logs', line) });
  await using charon = await FakeCharon.start();
  const stop = new AbortController();
  const deps = { clock: systemClock, logger };
  const coordinator = await startCoordinator(folder, deps, stop.signal);
  const agent = await startAgent(join(folder, 'agent'), { ...deps, viciSocket: charon.socketPath }, stop.signal);
  try {
    const tokens = await live(folder, { agentctl, coordinatorUrl: coordinator.url, seen });
    stop.abort();
    await Promise.all([coordinator.ended, agent.ended]);
    // With all that a coordinator writes at its end.
    seen('database', readFileSync(join(folder, 'state', 'coordinator.db')));
    const secrets = secretsOf(folder, tokens);
    return { cases: secrets.size * places.size, wrong: leaksIn(secrets, places), seen: sizes(places) };
  } finally {
    stop.abort();
    stopCapture();
    await Promise.all([coordinator.ended, agent.ended]);
    rmSync(folder, { recursive: true });
  }
}

interface Run {
  readonly agentctl: string;
  readonly coordinatorUrl: string;
  readonly seen: (place: string, data: string | Uint8Array) => void;
}

/** The node's life; resolves to its token and one of an operator's, by name. */
async function live(folder: string, { agentctl, coordinatorUrl, seen }: Run): Promise<Record<string, string>> {
  const mesh = new LocalApi({ socketPath: join(folder, 'api.sock'), service: 'cygnet-coordinator' });
  const own = new LocalApi({ socketPath: join(folder, 'agent', 'agent.sock'), service: 'cygnet-agent' });
  await mesh.send('PUT', '/v1/spec', applyReplySchema, { contentType: 'application/yaml', text: SPEC });
  const body = { contentType: 'application/json', text: '{"node":"edge","ttlSeconds":60}' };
  const { token } = await mesh.send('POST', '/v1/tokens', tokenReplySchema, body);
  const order = jsonBody({ name: 'alice', role: 'admin', ttlSeconds: 60 });
  const { token: apiToken } = await mesh.send('POST', '/v1/api-tokens', apiTokenReplySchema, order);

  const flags = [
    '--socket',
    join(folder, 'agent', 'agent.sock'),
    'enroll',
    '--coordinator',
    coordinatorUrl,
    '--token-file',
    '-',
  ];
  const child = spawn(process.execPath, [agentctl, ...flags], { stdio: ['pipe', 'pipe', 'pipe'] });
  for (const pid of [child.pid ?? 0, process.pid]) {
    for (const file of ['cmdline', 'environ'])
      seen('command lines and environments', readFileSync(`/proc/${pid}/${file}`));
  }
  child.stdin.end(token);
  const said = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  const [code] = (await once(child, 'exit')) as [number];
  seen('output of agentctl', (await said).join(''));
  if (code !== 0) throw new Error(`agentctl ended with ${code}: ${(await said).join('')}`);

  for (let tries = 0; tries < 100; tries += 1) {
    const status = await own.get('/v1/status', statusSchema);
    if (status.coordinator.state === 'connected' && status.desired.generation !== null) break;
    await delay(100);
  }
  seen('agentctl status', JSON.stringify(await own.get('/v1/status', statusSchema)));
  seen('meshctl nodes', JSON.stringify(await mesh.get('/v1/nodes', nodesReplySchema)));
  return { token, 'API token': apiToken };
}

/** By name. */
function secretsOf(folder: string, tokens: Readonly<Record<string, string>>): Map<string, readonly Buffer[]> {
  const state = join(folder, 'state');
  const keyFiles = readdirSync(state).filter((name) => name.endsWith('.key'));
  const identity = storedIn(stateDirIn(join(folder, 'agent'))).identity.read();
  const keys = [
    ...keyFiles.map((name) => [name, readFileSync(join(state, name), 'utf8')] as const),
    ['channel key', identity?.channel.key ?? ''] as const,
    ['IKE key', identity?.ike?.key ?? ''] as const,
  ];
  return new Map([
    ...Object.entries(tokens).map(([name, token]) => [name, formsOfToken(token)] as const),
    ...keys.map(([name, pem]) => [name, formsOfKey(pem)] as const),
  ]);
}

/** The part of it that is secret. */
export function formsOfToken(token: string): Buffer[] {
  return [Buffer.from(token.split('.')[1] ?? token)];
}

/** A private key as it could be written: its secret number raw, in hex and in base64, and a part of the PEM. */
export function formsOfKey(pem: string): Buffer[] {
  const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  const raw = Buffer.from(d, 'base64url');
  const body = pem.replaceAll(/-----[^-]+-----|\s/g, '');
  // Before it is the same in all keys, and behind it is the public key.
  const part = body.length > 100 ? body.slice(66, 96) : body.slice(-30);
  return [raw, ...[raw.toString('hex'), raw.toString('base64'), d, part].map((text) => Buffer.from(text))];
}

/** Which secret is where. */
export function leaksIn(secrets: ReadonlyMap<string, readonly Buffer[]>, places: Places): string[] {
  return [...places].flatMap(([place, pieces]) => {
    const all = Buffer.concat(pieces);
    return [...secrets]
      .filter(([, forms]) => forms.some((form) => form.length > 0 && all.includes(form)))
      .map(([secret]) => `${secret} in ${place}`);
  });
}

/** How much was searched, by place. */
export function sizes(places: Places): Record<string, string> {
  return Object.fromEntries([...places].map(([place, pieces]) => [place, `${Buffer.concat(pieces).length} bytes`]));
}
