import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { storedIn } from '../../src/agent/stored.ts';
import { DemoRun } from '../lab/demo-run.ts';
import { DemoScreen } from '../lab/demo-screen.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh } from '../lab/mesh.ts';
import type { NodeName } from '../lab/topology.ts';
import { dumpable, underItsUnit, withDescendants } from './core-limits.ts';
import { PacketCapture } from './packet-capture.ts';
import { ProcessWatch } from './process-watch.ts';
import type { Findings } from './proof.ts';
import { formsOfKey, formsOfToken, leaksIn, sizes, type Places } from './secrets.ts';

export interface LabFindings {
  /** Secrets in all that left its place, the packets on the wire included. */
  readonly leaks: Findings;
  /** Processes of ours whose memory the kernel would write to disk. */
  readonly dumpable: Findings;
}

/**
 * The demo in a lab, from nothing to direct tunnels, and a renewal of every certificate after it, with the real daemons and
 * all programs at their most talkative, with the limits that their units set; then a search for every secret of the run.
 */
export async function secretsInLab(): Promise<LabFindings> {
  const places: Places = new Map();
  const seen = (place: string, data: string | Uint8Array): void => {
    places.set(place, [...(places.get(place) ?? []), Buffer.from(data)]);
  };
  await using lab = await Lab.create();
  using watch = new ProcessWatch((data) => seen('command lines and environments', data));
  const frames = `${lab.folder}/frames`;
  mkdirSync(frames);
  const capture = new URL(`frame-capture.js?folder=${frames}`, import.meta.url);
  const mesh = new WatchedMesh(lab, { nodeOptions: ['--import', capture.href], under: underItsUnit });
  const packets = await PacketCapture.start(lab);
  const secrets = new Map<string, readonly Buffer[]>();
  const noteKeys = (): void => {
    for (const node of lab.nodes) for (const [name, pem] of keysOf(lab, node)) secrets.set(name, formsOfKey(pem));
  };

  const screen = new DemoScreen(new PassThrough().resume());
  await new DemoRun(lab, mesh, screen, new AbortController().signal).run();
  noteKeys();
  for (const node of lab.nodes) {
    await mesh.agentctl(node, ['renew']);
    for (const args of [['status'], ['status', '--json'], ['paths'], ['events', '--json']])
      seen('output of agentctl', await mesh.agentctl(node, args));
  }
  noteKeys();
  for (const args of [
    ['nodes', '--json'],
    ['links'],
    ['events', '--json'],
    ['audit', 'list', '--json'],
    ['token', 'list'],
  ])
    seen('output of meshctl', await mesh.meshctl(args));
  const pids = withDescendants([mesh.coordinator.pid, ...lab.nodes.map((node) => mesh.agentOf(node).pid)]);
  const dumping = { cases: pids.length, wrong: dumpable(pids) };
  await mesh.stopCoordinator();
  for (const node of lab.nodes) await mesh.stopAgent(node);
  for (const wire of await packets.stop()) seen('packets on the wire', wire);

  for (const [name, pem] of coordinatorKeysIn(lab)) secrets.set(name, formsOfKey(pem));
  for (const [index, token] of mesh.tokens.entries()) secrets.set(`token ${index + 1}`, formsOfToken(token));
  for (const path of filesIn(lab.folder)) {
    const place = placeOf(path);
    if (place !== undefined) seen(place, readFileSync(path));
  }
  const searched = { ...sizes(places), processes: watch.processes };
  const leaks = { cases: secrets.size * places.size, wrong: leaksIn(secrets, places), seen: searched };
  return { leaks, dumpable: dumping };
}

/** Remembers the tokens that it has made. */
class WatchedMesh extends Mesh {
  readonly tokens: string[] = [];

  override async meshctl(args: readonly string[], input?: string): Promise<string> {
    const output = await super.meshctl(args, input);
    if (args[0] === 'token' && args[1] === 'create') this.tokens.push(output.trim());
    return output;
  }
}

/** By name; those that were replaced and are still there as well. */
function keysOf(lab: Lab, node: NodeName): (readonly [string, string])[] {
  const identity = storedIn(`${lab.folderOf(node)}/agent`).identity.read();
  if (identity === undefined) throw new Error(`${node} has no identity`);
  const { channel, ike } = identity;
  const keys = {
    channel: channel.key,
    'former channel': channel.former?.key,
    IKE: ike?.key,
    'former IKE': ike?.former?.key,
  };
  return Object.entries(keys).flatMap(([name, key]) => {
    if (key === undefined) return [];
    // A renewal makes another one.
    return [[`${name} key of ${node}, ${key.slice(-50, -30).trim()}`, key] as const];
  });
}

function coordinatorKeysIn(lab: Lab): (readonly [string, string])[] {
  const state = `${lab.folder}/coordinator`;
  const names = readdirSync(state).filter((name) => name.endsWith('.key'));
  return names.map((name) => [name, readFileSync(join(state, name), 'utf8')]);
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Undefined for where a secret is at home. */
function placeOf(path: string): string | undefined {
  const name = basename(path);
  if (/^identity\.json|^enrolment\.json|\.key$/.test(name)) return undefined;
  // Searched already.
  if (name.endsWith('.pcap')) return undefined;
  if (name.endsWith('.frames')) return 'frames';
  if (/\.(?:log|out)$/.test(name)) return 'logs';
  if (name.includes('.db')) return 'database';
  return 'other files';
}
