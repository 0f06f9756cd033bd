import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { socketAnswers } from './charon.ts';
import type { LabProcess } from './lab-process.ts';
import type { Lab } from './lab.ts';
import { LabError } from './run.ts';
import { nodeStatusSchema, type NodeStatus } from './node-status.ts';
import { repositoryRoot } from './strongswan.ts';
import { hubsOf, type NodeName } from './topology.ts';

const COORDINATOR_PORT = 7443;
const API_PORT = 7444;
const LOG_LEVEL = 'debug';

export interface MeshOptions {
  /** They go to the node of each program. */
  readonly nodeOptions?: readonly string[];
  /** What to put in front of the command line of a coordinator or an agent. It has to become the program. */
  readonly under?: (service: string) => readonly string[];
}

/**
 * The project's own programs in a lab, from the build in dist/: a coordinator on master1, an agent on any node, and the
 * two command lines. A program that is started again finds its state again. All of them end with the lab. What all others
 * need, the coordinator and the agents of hubs, goes before the others: the machines of a real mesh wait for nobody.
 */
export class Mesh {
  readonly #lab: Lab;
  #coordinator: LabProcess | undefined;
  readonly #agents = new Map<NodeName, LabProcess>();
  readonly #nodeOptions: readonly string[];
  readonly #under: (service: string) => readonly string[];

  constructor(lab: Lab, { nodeOptions = [], under = () => [] }: MeshOptions = {}) {
    this.#lab = lab;
    this.#nodeOptions = nodeOptions;
    this.#under = under;
  }

  get coordinatorUrl(): string {
    return `https://${this.#coordinatorAddress}:${COORDINATOR_PORT}`;
  }

  /** Starts every charon, the coordinator and the agents of these nodes, enrols them, and applies a spec if there is one. */
  async bringUp(spec?: string, nodes: readonly NodeName[] = this.#lab.nodes): Promise<void> {
    await Promise.all(this.#lab.nodes.map((node) => this.#lab.startCharon(node)));
    await this.startCoordinator();
    await Promise.all(nodes.map((node) => this.startAgent(node)));
    await Promise.all(nodes.map((node) => this.enroll(node)));
    if (spec !== undefined) await this.applySpec(spec);
  }

  /** Starts the coordinator, or starts it again, and waits until its API answers. */
  async startCoordinator(): Promise<void> {
    const config = `${this.#lab.folder}/coordinator.yaml`;
    await writeFile(config, this.#coordinatorConfig());
    this.#coordinator = await this.#start('master1', 'coordinator', ['cygnet-coordinator', '--config', config]);
    await this.#coordinator.goBeforeOthers();
    await socketAnswers(this.#coordinator, this.#apiSocket);
  }

  async stopCoordinator(signal?: NodeJS.Signals): Promise<void> {
    await this.coordinator.stop(signal);
  }

  /** Its process; throws LabError when it was never started. */
  get coordinator(): LabProcess {
    return started(this.#coordinator, 'coordinator');
  }

  /**
   * Starts a node's agent, or starts it again, and waits until its own socket answers. `settings` go into its
   * agent.yaml beside what the lab needs.
   */
  async startAgent(node: NodeName, settings: Readonly<Record<string, string | number | object>> = {}): Promise<void> {
    const config = `${this.#lab.folderOf(node)}/agent.yaml`;
    await writeFile(config, this.#agentConfig(node, settings));
    const agent = await this.#start(node, `agent-${node}`, ['cygnet-agent', '--config', config]);
    if (hubsOf(this.#lab.network.topology).some(({ name }) => name === node)) await agent.goBeforeOthers();
    this.#agents.set(node, agent);
    await socketAnswers(agent, this.#agentSocket(node));
  }

  async stopAgent(node: NodeName, signal?: NodeJS.Signals): Promise<void> {
    await this.agentOf(node).stop(signal);
  }

  /** Its process; throws LabError when it was never started. */
  agentOf(node: NodeName): LabProcess {
    return started(this.#agents.get(node), `agent of ${node}`);
  }

  /** Makes a token for the node and enrols its agent with it. The token is in no argv and in no file. */
  async enroll(node: NodeName): Promise<void> {
    const token = await this.meshctl(['token', 'create', node]);
    await this.agentctl(node, ['enroll', '--coordinator', this.coordinatorUrl, '--token-file', '-'], token);
  }

  /** Gives the coordinator a new mesh spec (YAML). */
  async applySpec(spec: string): Promise<void> {
    // A lab changes its mesh as it likes.
    await this.meshctl(['apply', '--allow-mass-removal', '-f', '-'], spec);
  }

  async status(node: NodeName): Promise<NodeStatus> {
    return nodeStatusSchema.parse(JSON.parse(await this.agentctl(node, ['status', '--json'])));
  }

  /** Standard output of an agentctl on this node. Throws LabError on any exit code but 0. */
  async agentctl(node: NodeName, args: readonly string[], input?: string): Promise<string> {
    return this.#runProgram(node, this.agentctlArgv(node, args), input);
  }

  /** Standard output of a meshctl on master1. Throws LabError on any exit code but 0. */
  async meshctl(args: readonly string[], input?: string): Promise<string> {
    return this.#runProgram('master1', this.meshctlArgv(args), input);
  }

  /** The same from any node, over the network: the coordinator's API port, with the API token in a file. */
  async remoteMeshctl(node: NodeName, tokenFile: string, args: readonly string[]): Promise<string> {
    const server = `https://${this.#coordinatorAddress}:${API_PORT}`;
    const argv = this.#programArgv(['meshctl', '--server', server, '--token-file', tokenFile, ...args]);
    return this.#runProgram(node, argv);
  }

  agentctlArgv(node: NodeName, args: readonly string[]): readonly string[] {
    return this.#programArgv(['agentctl', '--socket', this.#agentSocket(node), ...args]);
  }

  meshctlArgv(args: readonly string[]): readonly string[] {
    return this.#programArgv(['meshctl', '--socket', this.#apiSocket, ...args]);
  }

  async #runProgram(node: NodeName, argv: readonly string[], input?: string): Promise<string> {
    return (await this.#lab.exec(node, argv, input === undefined ? {} : { input })).stdout;
  }

  #start(node: NodeName, name: string, [program = '', ...args]: readonly string[]): Promise<LabProcess> {
    return this.#lab.spawn(node, name, [...this.#under(program), ...this.#programArgv([program, ...args])]);
  }

  #programArgv([program, ...args]: readonly string[]): readonly string[] {
    return [process.execPath, ...this.#nodeOptions, `${repositoryRoot()}/dist/bin/${program}.js`, ...args];
  }

  get #apiSocket(): string {
    return `${this.#lab.folder}/coordinator.sock`;
  }

  #agentSocket(node: NodeName): string {
    return `${this.#lab.folderOf(node)}/agent.sock`;
  }

  get #coordinatorAddress(): string {
    return this.#lab.network.topology.hub.address;
  }

  #coordinatorConfig(): string {
    return stringify({
      mesh: 'seed',
      subject: 'C=CN, O=Local Cluster',
      listen: `${this.#coordinatorAddress}:${COORDINATOR_PORT}`,
      api: { listen: `${this.#coordinatorAddress}:${API_PORT}` },
      advertise: [this.#coordinatorAddress],
      stateDir: `${this.#lab.folder}/coordinator`,
      apiSocket: this.#apiSocket,
      logLevel: LOG_LEVEL,
    });
  }

  #agentConfig(node: NodeName, settings: Readonly<Record<string, string | number | object>>): string {
    return stringify({
      ...settings,
      viciSocket: this.#lab.viciSocketOf(node),
      stateDir: `${this.#lab.folderOf(node)}/agent`,
      socket: this.#agentSocket(node),
      logLevel: LOG_LEVEL,
    });
  }
}

function started(process: LabProcess | undefined, name: string): LabProcess {
  if (process === undefined) throw new LabError('bad-argument', `the ${name} was never started`);
  return process;
}

/** A connection that goes through a second registration has the name of the first one, and more. */
export function firstNameOf(connection: string): string {
  return connection.replace(/\.again$/, '');
}
