import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { storedIn } from '../../src/agent/stored.ts';
import { authority } from '../identity/operator-pki.ts';
import { placedOn } from '../identity/placed-ike.ts';
import { DemoRun } from '../lab/demo-run.ts';
import { DemoScreen } from '../lab/demo-screen.ts';
import { Lab } from '../lab/lab.ts';
import { Mesh, type MeshOptions } from '../lab/mesh.ts';
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
 * all programs at their most talkative, with the limits that their units set; one node's IKE certificate is placed by hand, an
 * operator on another machine asks with an API token, and the signing key is handed over to one offline, which then signs.
 * Then a search for every secret of the run.
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
  const placedKey = await mesh.placeIke();
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
  const offlineKey = `${lab.folder}/offline.key`;
  seen('output of meshctl', await signOffline(mesh, offlineKey));
  seen('output of meshctl', await askFromElsewhere(mesh, `${lab.folder}/alice.token`));
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
  for (const path of [placedKey, offlineKey]) secrets.set(path, formsOfKey(readFileSync(path, 'utf8')));
  for (const [name, token] of mesh.tokens) secrets.set(name, formsOfToken(token));
  for (const path of filesIn(lab.folder)) {
    const place = placeOf(path);
    if (place !== undefined) seen(place, readFileSync(path));
  }
  const searched = { ...sizes(places), processes: watch.processes };
  const leaks = { cases: secrets.size * places.size, wrong: leaksIn(secrets, places), seen: searched };
  return { leaks, dumpable: dumping };
}

/** Remembers the tokens that it has made. The IKE certificate of one of its nodes can be placed by hand. */
class WatchedMesh extends Mesh {
  /** By what each is for. */
  readonly tokens = new Map<string, string>();
  readonly #lab: Lab;
  readonly #ike = new Map<NodeName, object>();

  constructor(lab: Lab, options: MeshOptions) {
    super(lab, options);
    this.#lab = lab;
  }

  /** On edge1; to be called before the agents start. Resolves to the file with its key. */
  async placeIke(): Promise<string> {
    const root = await authority({ name: 'Root' });
    const issuing = await authority({ name: 'VPN CA', issuer: root });
    const { files } = await placedOn(this.#lab.folderOf('edge1'), 'edge1', [issuing, root]);
    // All nodes believe it.
    for (const node of this.#lab.nodes) this.#ike.set(node, node === 'edge1' ? files : { ca: files.ca });
    return files.key;
  }

  override startAgent(node: NodeName): Promise<void> {
    const ike = this.#ike.get(node);
    return super.startAgent(node, ike && { ike });
  }

  override async meshctl(args: readonly string[], input?: string): Promise<string> {
    const output = await super.meshctl(args, input);
    const [what, action, name] = args;
    if (what?.endsWith('token') === true && action === 'create') this.tokens.set(`${what} for ${name}`, output.trim());
    return output;
  }
}

/** The signing key goes into the operator's keeping, and all states are signed there. */
async function signOffline(mesh: Mesh, keyFile: string): Promise<string> {
  const said = [
    await mesh.meshctl(['signing-key', 'create', '--out', keyFile]),
    await mesh.meshctl(['signing-key', 'rotate', '--to', `${keyFile}.pub`]),
    await mesh.meshctl(['sign', '--key', keyFile, '--yes']),
  ].join('');
  if (!said.includes('signed for 3 nodes')) throw new Error(`the offline key has not signed: ${said}`);
  return said;
}

/** An operator on another machine, who has an API token. */
async function askFromElsewhere(mesh: Mesh, tokenFile: string): Promise<string> {
  const token = await mesh.meshctl(['api-token', 'create', 'alice', '--role', 'admin']);
  writeFileSync(tokenFile, token, { mode: 0o600 });
  const commands = [['links'], ['nodes', '--json'], ['audit', 'list', '--json'], ['api-token', 'list']];
  const said: string[] = [];
  for (const args of commands) said.push(await mesh.remoteMeshctl('remote', tokenFile, args));
  return said.join('');
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
  if (/^identity\.json|^enrolment\.json|\.(?:key|token)$/.test(name)) return undefined;
  // Searched already.
  if (name.endsWith('.pcap')) return undefined;
  if (name.endsWith('.frames')) return 'frames';
  if (/\.(?:log|out)$/.test(name)) return 'logs';
  if (name.includes('.db')) return 'database';
  return 'other files';
}
