import { z } from 'zod';
import { Lab } from '../../lab/lab.ts';
import { Mesh } from '../../lab/mesh.ts';
import { meshSpec, type SeedLink } from '../../lab/seed-mesh.ts';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { sites, type SiteName } from '../../lab/topology.ts';
import { ikeSasOf } from './charon-sas.ts';
import { difference, expectedSas, isSecondRegistration, seenSas } from './full-mesh-sas.ts';

const HUB = 'master1';
/** One site of so many has no NAT in front of it. */
const PUBLIC_EVERY = 8;
/** Programs that are started side by side. */
const AT_ONCE = 4;

const linksSchema = z.object({
  links: z.array(z.object({ ends: z.array(z.object({ path: z.string().nullable(), cause: z.string().nullable() })) })),
});

/** What is not as it should be in all charons together. */
export interface Deviation {
  readonly missing: number;
  readonly surplus: number;
  /** A few of them, in words. */
  readonly examples: readonly string[];
  /** Not a deviation, but what it takes where a charon is held up. */
  readonly secondRegistrations: number;
}

/** A hub, which is the mediator as well, and sites, most of them behind a NAT, the product on all of them. */
export class FullMesh implements AsyncDisposable {
  readonly lab: Lab;
  readonly mesh: Mesh;
  readonly sites: readonly SiteName[];

  private constructor(lab: Lab, names: readonly SiteName[]) {
    this.lab = lab;
    this.mesh = new Mesh(lab);
    this.sites = names;
  }

  /** All nodes are enrolled, and no spec is applied. */
  static async create(nodes: number, strongswan: StrongswanVersion): Promise<FullMesh> {
    const names = sites(nodes - 1);
    const onWan = names.filter((_, index) => index % PUBLIC_EVERY === 0);
    const nat = Object.fromEntries(onWan.map((name) => [name, 'none' as const]));
    const full = new FullMesh(await Lab.create({ strongswan, edges: names, nat }), names);
    try {
      await full.#bringUp();
    } catch (error) {
      await full[Symbol.asyncDispose]();
      throw error;
    }
    return full;
  }

  get links(): readonly SeedLink[] {
    const { nodes } = this.lab;
    return nodes.flatMap((a, index) => nodes.slice(index + 1).map((b) => [a, b] as const));
  }

  async linkAll(): Promise<void> {
    await this.mesh.applySpec(meshSpec(this.lab.network, this.links));
  }

  /** How far all charons are from what they have to have when every link is up, and direct between sites. */
  async deviation(): Promise<Deviation> {
    const all = await Promise.all(
      this.lab.nodes.map(async (node) => {
        const expected = expectedSas(node, { hub: HUB, sites: this.sites });
        const ikeSas = await ikeSasOf(this.lab, node);
        const { missing, surplus } = difference(expected, seenSas(ikeSas));
        const examples = [
          ...missing.map((text) => `${node} lacks ${text}`),
          ...surplus.map((text) => `${node} has ${text}`),
        ];
        const secondRegistrations = node === HUB ? ikeSas.filter(isSecondRegistration).length : 0;
        return { missing: missing.length, surplus: surplus.length, examples, secondRegistrations };
      }),
    );
    return {
      missing: all.reduce((sum, each) => sum + each.missing, 0),
      surplus: all.reduce((sum, each) => sum + each.surplus, 0),
      examples: all.flatMap(({ examples }) => examples).slice(0, 5),
      secondRegistrations: all.reduce((sum, each) => sum + each.secondRegistrations, 0),
    };
  }

  /** How many ends of links have each path, in the coordinator's words. */
  async paths(): Promise<Readonly<Record<string, number>>> {
    const { links } = linksSchema.parse(JSON.parse(await this.mesh.meshctl(['links', '--json'])));
    const counts: Record<string, number> = {};
    for (const { path, cause } of links.flatMap(({ ends }) => ends)) {
      const key = cause === null ? (path ?? 'unknown') : `${path ?? 'unknown'}, ${cause}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  }

  /** Those of the links over which none of three pings comes back, LAN to LAN. */
  async deadLinks(links: readonly SeedLink[]): Promise<readonly SeedLink[]> {
    const dead: SeedLink[] = [];
    await inTurns(links, async (link) => {
      const [a, b] = link;
      const { received } = await this.lab.ping(a, this.lab.network.lanOf(b).address, { count: 3 });
      if (received === 0) dead.push(link);
    });
    return dead;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }

  async #bringUp(): Promise<void> {
    const { lab, mesh } = this;
    await inTurns(lab.nodes, (node) => lab.startCharon(node));
    await mesh.startCoordinator();
    await inTurns(lab.nodes, async (node) => {
      await mesh.startAgent(node);
      await mesh.enroll(node);
    });
  }
}

/** Works on all, a few at a time, so that two processors need not start forty programs at once. */
async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
