import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { LabProcess } from './lab-process.ts';
import { startCharon, viciSocketIn } from './charon.ts';
import { Network, type HostName } from './network.ts';
import {
  LongPing,
  longPingArgv,
  parseSummary,
  pingArgv,
  type LongPingOptions,
  type PingCount,
  type PingPace,
} from './ping.ts';
import { identityOf, type ProcessIdentity } from './process-identity.ts';
import { namespacePrefix, removeDeadLab, removeLab, sweepDeadLabs } from './removal.ts';
import { LabError, type RunOptions, type RunResult } from './run.ts';
import { createStateFolder, keep, type StateFolder } from './state-folder.ts';
import { findStrongswan, type StrongswanInstallation, type StrongswanVersion } from './strongswan.ts';
import { hubsOf, topologyOf, type NodeName, type TopologyOptions } from './topology.ts';

export interface LabOptions extends TopologyOptions {
  /** Up to eight lower-case letters and digits, unlike any other lab's of this machine. Default: random. */
  readonly id?: string;
  /** Default: 5.9. */
  readonly strongswan?: StrongswanVersion;
  /** The process with which the lab should go: once it is dead, the next lab to be made removes this one. Default: this. */
  readonly owner?: ProcessIdentity;
  readonly log?: (line: string) => void;
}

export interface SwanctlOptions extends RunOptions {
  /** Where it looks for swanctl.conf and credentials, below the node's folder. Default: its own, in /etc. */
  readonly directory?: string;
}

/**
 * Several hosts on one machine, with a real charon wherever one is started. Needs root. All of it (processes,
 * namespaces, files) goes with `await using`, or, when its owner was killed, with the next lab.
 */
export class Lab implements AsyncDisposable {
  readonly network: Network;
  readonly #folder: StateFolder;
  readonly #installation: StrongswanInstallation;
  readonly #processes: LabProcess[] = [];
  readonly #charons = new Map<NodeName, LabProcess>();
  #pings = 0;
  #kept = false;

  private constructor(network: Network, folder: StateFolder, installation: StrongswanInstallation) {
    this.network = network;
    this.#folder = folder;
    this.#installation = installation;
  }

  static async create(options: LabOptions = {}): Promise<Lab> {
    const log = options.log ?? (() => undefined);
    const installation = await findStrongswan(options.strongswan ?? '5.9');
    for (const id of await Lab.removeDead()) log(`removed lab ${id}: its owner is dead`);
    const owner = options.owner ?? (await thisProcess());
    const folder = await createStateFolder(options.id ?? randomBytes(3).toString('hex'), owner);
    const lab = new Lab(new Network(namespacePrefix(folder.id), topologyOf(options)), folder, installation);
    try {
      await lab.#build();
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    log(`lab ${folder.id}: ${lab.nodes.join(', ')}; state in ${folder.path}`);
    return lab;
  }

  /** Removes a lab that was kept, or whose owner was killed; false when there is no such lab. */
  static async remove(id: string): Promise<boolean> {
    return removeDeadLab(id, await thisProcess());
  }

  /** Removes the labs whose owner was killed, save those that were kept; returns their ids. */
  static async removeDead(): Promise<readonly string[]> {
    return sweepDeadLabs(await thisProcess());
  }

  get id(): string {
    return this.#folder.id;
  }

  get nodes(): readonly NodeName[] {
    const { topology } = this.network;
    return [...hubsOf(topology), ...topology.edges].map(({ name }) => name);
  }

  get folder(): string {
    return this.#folder.path;
  }

  /** Where the node's daemons keep their files. */
  folderOf(node: NodeName): string {
    return `${this.#folder.path}/${node}`;
  }

  viciSocketOf(node: NodeName): string {
    return viciSocketIn(this.folderOf(node));
  }

  exec(host: HostName, argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.network.exec(host, argv, options);
  }

  /** Starts a long-running program on a host; it is killed with the lab. Its output goes to `NAME.log` in the folder. */
  async spawn(host: HostName, name: string, argv: readonly string[]): Promise<LabProcess> {
    const logFile = `${this.#folder.path}/${name}.log`;
    return this.#own(await LabProcess.start({ name, argv: this.network.argvOn(host, argv), logFile }));
  }

  /** Starts the node's charon and waits until it answers; after `killCharon` this is its restart. */
  async startCharon(node: NodeName): Promise<void> {
    const { network } = this;
    const options = { node, network, installation: this.#installation, folder: this.folderOf(node) };
    this.#charons.set(node, this.#own(await startCharon(options)));
  }

  /** Ends the node's charon: SIGKILL as a crash does, SIGTERM in good order. */
  async killCharon(node: NodeName, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.charonOf(node).stop(signal);
  }

  /** The process of the node's charon; throws LabError when none was ever started. */
  charonOf(node: NodeName): LabProcess {
    const charon = this.#charons.get(node);
    if (charon === undefined) throw new LabError('bad-argument', `no charon was started on ${node}`);
    return charon;
  }

  /** False once it has ended, by whatever: a charon that aborts is gone. */
  isCharonRunning(node: NodeName): boolean {
    return this.#charons.get(node)?.running ?? false;
  }

  /** Runs this version's swanctl against the node's charon. */
  async swanctl(node: NodeName, args: readonly string[], options: SwanctlOptions = {}): Promise<string> {
    const { directory, ...runOptions } = options;
    const folder = this.folderOf(node);
    const seen = this.#installation.seenFrom(folder);
    const env = directory === undefined ? [] : ['env', `SWANCTL_DIR=${seen}/${directory}`];
    const uri = `unix://${viciSocketIn(seen)}`;
    const argv = this.#installation.command(folder, [...env, '/usr/sbin/swanctl', ...args, '--uri', uri]);
    return (await this.exec(node, argv, runOptions)).stdout;
  }

  /** Pings from the node's LAN address unless told otherwise. The answers are counted, not judged. */
  async ping(node: NodeName, to: string, options: PingPace & { readonly from?: string }): Promise<PingCount> {
    const argv = pingArgv({ from: options.from ?? this.network.lanOf(node).address, to }, options);
    const { stdout, stderr } = await this.exec(node, argv, { accept: [0, 1, 2], timeoutMs: 300_000 });
    return parseSummary(stdout + stderr);
  }

  /** Pings until it is stopped. */
  async longPing(node: NodeName, to: string, options: LongPingOptions = {}): Promise<LongPing> {
    const { from = this.network.lanOf(node).address, intervalSeconds = 0.05 } = options;
    this.#pings += 1;
    const argv = longPingArgv({ from, to }, intervalSeconds);
    return new LongPing(await this.spawn(node, `ping-${this.#pings}`, argv), intervalSeconds);
  }

  /** Leaves everything running when this process ends, until `Lab.remove`. Disposal does nothing from now on. */
  async keep(): Promise<void> {
    this.#kept = true;
    await keep(this.#folder);
    for (const process of this.#processes) process.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#kept) await removeLab(this.#folder);
  }

  async #build(): Promise<void> {
    await this.network.build();
    for (const node of this.nodes) await mkdir(this.folderOf(node));
  }

  #own(process: LabProcess): LabProcess {
    this.#processes.push(process);
    return process;
  }
}

async function thisProcess(): Promise<ProcessIdentity> {
  const self = await identityOf(process.pid);
  if (self === undefined) throw new LabError('command-failed', 'needs /proc: the lab runs on Linux only');
  return self;
}
