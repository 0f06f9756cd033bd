import { z } from 'zod';
import { messageOf } from '../../../src/errors.ts';
import { Lab, type LabOptions } from '../../lab/lab.ts';
import { firstNameOf, Mesh } from '../../lab/mesh.ts';
import type { NodeStatus } from '../../lab/node-status.ts';
import type { LongPing } from '../../lab/ping.ts';
import { meshSpec, type HubRoles, type SeedLink } from '../../lab/seed-mesh.ts';
import type { EdgeName } from '../../lab/topology.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { ikeSasOf } from './charon-sas.ts';
import { keepEvidence } from './keep-evidence.ts';
import type { PingTrace } from './ping-trace.ts';

/** The two whose link is measured. */
export const ENDS = ['edge1', 'remote'] as const satisfies readonly EdgeName[];
export type End = (typeof ENDS)[number];

export type EndLink = NodeStatus['links'][number];

export interface SceneOptions extends LabOptions {
  /** What the hubs are in the mesh; default for each: mediator and hub. */
  readonly roles?: HubRoles;
}

const UP_MS = 60_000;

const specEventSchema = z.object({ atMs: z.number(), node: z.string().nullable(), kind: z.string() });

/** The seed's two edges in a lab with the product on every node, enrolled. No link is allowed yet. */
export class Scene implements AsyncDisposable {
  readonly lab: Lab;
  readonly mesh: Mesh;

  readonly #roles: HubRoles;

  private constructor(lab: Lab, roles: HubRoles) {
    this.lab = lab;
    this.#roles = roles;
    this.mesh = new Mesh(lab);
  }

  static async create({ roles = {}, ...options }: SceneOptions): Promise<Scene> {
    const scene = new Scene(await Lab.create(options), roles);
    try {
      await scene.#bringUp();
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
    return scene;
  }

  /** Links the two edges. Resolves to the moment at which the coordinator took the spec, in ms since the epoch. */
  async allow(): Promise<number> {
    await this.#apply([ENDS]);
    const events = (await this.mesh.meshctl(['events', '--json'])).trim().split('\n');
    const applies = events
      .map((line) => specEventSchema.parse(JSON.parse(line)))
      .filter(({ kind, node }) => kind === 'spec' && node === null);
    return applies.at(-1)?.atMs ?? Number.NaN;
  }

  /** Takes the link away and waits until both ends have let go of it. */
  async forbid(): Promise<void> {
    await this.#apply([]);
    await waitFor({
      what: 'both edges without a link',
      observe: () => Promise.all(ENDS.map((end) => this.mesh.status(end))),
      until: (all) => all.every(({ links, desired }) => links.length === 0 && desired.applied === desired.generation),
      timeoutMs: UP_MS,
    });
  }

  /** What each end says of the link; undefined before it knows of it. In the order of {@link ENDS}. */
  links(): Promise<readonly (EndLink | undefined)[]> {
    return Promise.all(
      ENDS.map(async (end) => (await this.mesh.status(end)).links.find(({ peer }) => peer === otherEndOf(end))),
    );
  }

  /** Waits until both ends call the link direct. */
  async untilDirect(timeoutMs: number): Promise<void> {
    await this.explained(
      waitFor({
        what: 'a direct path',
        observe: () => this.links(),
        until: (links) => links.every((link) => link?.path === 'direct'),
        timeoutMs,
        intervalMs: 300,
      }),
    );
  }

  /** For a wait that is not to run out: when it does, what may tell why is kept, and where is said on stderr. */
  async explained<T>(wait: Promise<T>): Promise<T> {
    try {
      return await wait;
    } catch (error) {
      process.stderr.write(`${messageOf(error)}\nlogs: ${await keepEvidence(this.lab, this.mesh)}\n`);
      throw error;
    }
  }

  /** Pings from LAN to LAN until it is stopped. */
  async ping(from: End, intervalMs: number): Promise<ScenePing> {
    const to = this.lab.network.lanOf(otherEndOf(from)).address;
    const ping = await this.lab.longPing(from, to, { intervalSeconds: intervalMs / 1000 });
    return { ping, trace: async () => ({ replies: await ping.replies(), intervalMs }) };
  }

  /** Ends the direct tunnel at one end, as an operator could. */
  async endDirect(end: End): Promise<void> {
    const ikeSas = await ikeSasOf(this.lab, end);
    const direct = ikeSas.filter(({ name }) => firstNameOf(name) === `cygnet-peer-${otherEndOf(end)}`);
    for (const { uniqueid } of direct) await this.lab.swanctl(end, ['--terminate', '--ike-id', String(uniqueid)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }

  #apply(links: readonly SeedLink[]): Promise<void> {
    return this.mesh.applySpec(meshSpec(this.lab.network, links, this.#roles));
  }

  async #bringUp(): Promise<void> {
    const { lab, mesh } = this;
    await mesh.bringUp();
    await this.#apply([]);
    await waitFor({
      what: 'every node with its desired state',
      observe: () => Promise.all(lab.nodes.map((node) => mesh.status(node))),
      until: (all) => all.every(({ desired }) => desired.applied !== null && desired.applied === desired.generation),
      timeoutMs: UP_MS,
    });
  }
}

export interface ScenePing {
  readonly ping: LongPing;
  readonly trace: () => Promise<PingTrace>;
}

export function otherEndOf(end: End): End {
  return end === 'edge1' ? 'remote' : 'edge1';
}
