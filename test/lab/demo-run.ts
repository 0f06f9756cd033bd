import { problemOf, type DemoLink, type DemoReport } from './demo-report.ts';
import type { DemoScreen } from './demo-screen.ts';
import type { Lab } from './lab.ts';
import type { Mesh } from './mesh.ts';
import type { LinkPath, NodeStatus } from './node-status.ts';
import { LabError } from './run.ts';
import { meshSpec, SEED_LINKS, type SeedLink } from './seed-mesh.ts';
import type { NodeName } from './topology.ts';
import { waitFor } from './wait-for.ts';

const RELAY_WITHIN_MS = 60_000;
const DIRECT_WITHIN_MS = 120_000;
const PINGS_PER_LINK = 20;

/** What the demo has found out so far; a failure leaves the rest as it was. */
type DemoFindings = Pick<DemoReport, 'strongswan' | 'links'> & Omit<DemoReport['seconds'], 'install'>;

/** The seed's mesh, from nothing to direct tunnels, step by step. */
export class DemoRun {
  readonly #lab: Lab;
  readonly #mesh: Mesh;
  readonly #screen: DemoScreen;
  readonly #signal: AbortSignal;
  #findings: DemoFindings = { strongswan: null, links: [], relay: null, direct: null };

  constructor(lab: Lab, mesh: Mesh, screen: DemoScreen, signal: AbortSignal) {
    this.#lab = lab;
    this.#mesh = mesh;
    this.#screen = screen;
    this.#signal = signal;
  }

  get findings(): DemoFindings {
    return this.#findings;
  }

  /** Throws LabError when a step fails or a link is not as it should be, and the signal's reason when it aborts. */
  async run(): Promise<void> {
    await this.#startDaemons();
    await this.#enrol();
    const applyMs = performance.now();
    const secondsSince = (): number => Math.round(performance.now() - applyMs) / 1000;
    await this.#step('mesh spec: apply', () => this.#mesh.applySpec(meshSpec(this.#lab.network)));
    await this.#step('edge1 and remote reach each other, through the hub at first', () => this.#waitForRelay());
    this.#findings = { ...this.#findings, relay: secondsSince() };
    await this.#step('edge1 and remote have a direct path', () => this.#waitForDirect());
    this.#findings = { ...this.#findings, direct: secondsSince() };
    const links = await this.#step(`${PINGS_PER_LINK} pings on every link, LAN to LAN`, () => this.#tryLinks());
    this.#findings = { ...this.#findings, links };
    const problem = problemOf(links);
    if (problem !== undefined) throw new LabError('not-in-time', problem);
  }

  async #startDaemons(): Promise<void> {
    const { nodes } = this.#lab;
    await this.#step(`charon on ${nodes.join(', ')}`, () =>
      Promise.all(nodes.map((node) => this.#lab.startCharon(node))),
    );
    await this.#step('coordinator on master1', () => this.#mesh.startCoordinator());
    await this.#step('an agent on every node', () => Promise.all(nodes.map((node) => this.#mesh.startAgent(node))));
  }

  async #enrol(): Promise<void> {
    for (const node of this.#lab.nodes) {
      await this.#step(`enrol ${node} with a one-time token`, () => this.#mesh.enroll(node));
    }
    const { charon } = await this.#mesh.status('master1');
    this.#findings = { ...this.#findings, strongswan: charon.version };
  }

  async #waitForRelay(): Promise<void> {
    await waitFor({
      what: 'a packet from edge1 to remote and back',
      observe: async () => ({
        edge1: await this.#mesh.status('edge1'),
        ping: await this.#ping(['edge1', 'remote'], 1),
      }),
      until: ({ edge1, ping }) => pathTo(edge1, 'remote') !== 'none' && ping.received === 1,
      timeoutMs: RELAY_WITHIN_MS,
      signal: this.#signal,
    });
  }

  async #waitForDirect(): Promise<void> {
    await waitFor({
      what: 'edge1 and remote to call their path direct',
      observe: async () => ({
        edge1: await this.#mesh.status('edge1'),
        remote: await this.#mesh.status('remote'),
      }),
      until: ({ edge1, remote }) =>
        [pathTo(edge1, 'remote'), pathTo(remote, 'edge1')].every((path) => path === 'direct') &&
        [pathTo(edge1, 'master1'), pathTo(remote, 'master1')].every((path) => path !== 'none'),
      timeoutMs: DIRECT_WITHIN_MS,
      signal: this.#signal,
    });
  }

  async #tryLinks(): Promise<readonly DemoLink[]> {
    return Promise.all(
      SEED_LINKS.map(async ([a, b]) => {
        const ping = await this.#ping([a, b], PINGS_PER_LINK);
        return { a, b, path: pathTo(await this.#mesh.status(a), b), ping };
      }),
    );
  }

  #ping([a, b]: SeedLink, count: number): ReturnType<Lab['ping']> {
    return this.#lab.ping(a, this.#lab.network.lanOf(b).address, { count });
  }

  #step<T>(title: string, action: () => Promise<T>): Promise<T> {
    this.#signal.throwIfAborted();
    return this.#screen.step(title, action);
  }
}

/** `none` as well when the node does not know of such a link (yet). */
function pathTo({ links }: NodeStatus, peer: NodeName): LinkPath {
  return links.find((link) => link.peer === peer)?.path ?? 'none';
}
