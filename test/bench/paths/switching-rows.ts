import { setTimeout as sleep } from 'node:timers/promises';
import { Lab } from '../../lab/lab.ts';
import { PlainMesh } from '../../lab/plain-mesh.ts';
import type { StrongswanVersion } from '../../lab/strongswan.ts';
import { waitFor } from '../../lab/wait-for.ts';
import { limit, type Say } from '../row.ts';
import { EventTail, isNowDirect } from './event-tail.ts';
import { dropsBetween, kernelDrops, type Drops } from './kernel-drops.ts';
import type { PathMeasurement, PathRow } from './path-row.ts';
import { lostAtMs } from './ping-trace.ts';
import { ENDS, otherEndOf, Scene, type End, type ScenePing } from './scene.ts';

const ROUNDS = { full: 100, quick: 10 } as const;
const PING_INTERVAL_MS = 20;
const DIRECT_MS = 120_000;
/** Traffic stays on the relay for as long as the product leaves it there. */
const RELAYED_MS = 1500;

/**
 * Gives up the direct tunnel on command, at either end in turn, and sets up the next one, under a ping all the time: by the
 * product, and in a lab beside it by swanctl alone, in turns. A charon by itself loses packets at a switch, too.
 */
export function switching(strongswan: StrongswanVersion, quick: boolean): PathMeasurement {
  const rounds = quick ? ROUNDS.quick : ROUNDS.full;
  const name = `packets lost in ${rounds} fallbacks and ${rounds} upgrades on command, 50 pings a second / swanctl's, ${strongswan}`;
  return {
    names: [name],
    measure: async (say) => {
      await using product = await ProductSwitching.start(strongswan);
      await using plain = await PlainSwitching.start(strongswan);
      for (let round = 0; round < rounds; round += 1) {
        const end = ENDS[round % ENDS.length] ?? ENDS[0];
        await product.fallAndRise(end);
        await plain.fallAndRise(end, say);
        if (round % 10 === 9) say(`${round + 1} of ${rounds}`);
      }
      return [rowOf(name, rounds, await product.stop(), { ...(await plain.stop()), switches: plain.switches })];
    },
  };
}

function rowOf(name: string, rounds: number, ours: Losses, other: Losses & { readonly switches: number }): PathRow {
  const seen = {
    sent: ours.sent,
    lost: textOf(ours),
    'switches of swanctl, before both its charons hung': other.switches,
    'sent beside swanctl': other.sent,
    'lost beside swanctl': textOf(other),
    ...(ours.drops !== undefined && { 'dropped by the kernel': ours.drops }),
    ...(other.drops !== undefined && { 'dropped beside swanctl': other.drops }),
  };
  return { ...limit(name, 'packets', [ours.lost], 0), other: other.lost, runs: rounds, seen };
}

/** What became of one ping. */
interface Losses {
  readonly sent: number;
  readonly lost: number;
  /** Of each lost packet, as far as the answers around it tell: when it was sent. */
  readonly when: readonly string[];
  /** What the kernels of both ends say of packets that they have dropped. */
  readonly drops?: string | undefined;
}

function textOf({ when }: Losses): string {
  return when.join(', ') || 'none';
}

/** A ping, and what the kernels of both ends had dropped when it began; undefined where charon carries the packets. */
interface Watched extends ScenePing {
  readonly drops: Drops | undefined;
}

/** Ms since the epoch. */
interface Switches {
  readonly givenUpMs: number;
  readonly directMs: number;
}

/** The product's own way: an agent gives up its tunnel when it is told to, and the two set up another one. */
class ProductSwitching implements AsyncDisposable {
  readonly #scene: Scene;
  readonly #tails: readonly EventTail[];
  readonly #watched: Watched;
  readonly #switches: Switches[] = [];

  private constructor(scene: Scene, tails: readonly EventTail[], watched: Watched) {
    this.#scene = scene;
    this.#tails = tails;
    this.#watched = watched;
  }

  static async start(strongswan: StrongswanVersion): Promise<ProductSwitching> {
    const scene = await Scene.create({ strongswan });
    const tails = await Promise.all(ENDS.map((end) => EventTail.start(scene, end)));
    await scene.allow();
    await scene.untilDirect(DIRECT_MS);
    const drops = await kernelDrops(scene.lab, ENDS);
    return new ProductSwitching(scene, tails, { ...(await scene.ping(ENDS[0], PING_INTERVAL_MS)), drops });
  }

  async fallAndRise(end: End): Promise<void> {
    const givenUpMs = Date.now();
    await this.#scene.mesh.agentctl(end, ['reconnect', otherEndOf(end), '--wait', '0']);
    const risen = await this.#scene.explained(
      waitFor({
        what: 'both ends with a new direct path',
        observe: () =>
          Promise.all(this.#tails.map(async (tail) => (await tail.since(givenUpMs)).find(isNowDirect)?.atMs ?? null)),
        until: (moments) => moments.every((atMs) => atMs !== null),
        timeoutMs: DIRECT_MS,
      }),
    );
    this.#switches.push({ givenUpMs, directMs: Math.max(...risen.map((atMs) => atMs ?? Number.NaN)) });
  }

  stop(): Promise<Losses> {
    return lossesOf(this.#scene.lab, this.#watched, this.#switches);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scene[Symbol.asyncDispose]();
  }
}

/** The same tunnels, certificates and NATs, and swanctl where the product would be. */
class PlainSwitching implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #mesh: PlainMesh;
  readonly #watched: Watched;
  readonly #switches: Switches[] = [];
  /** Neither end's charon begins anything with the other any more: only a restart would help, and that ends the rest, too. */
  #isHeld = false;

  private constructor(lab: Lab, mesh: PlainMesh, watched: Watched) {
    this.#lab = lab;
    this.#mesh = mesh;
    this.#watched = watched;
  }

  static async start(strongswan: StrongswanVersion): Promise<PlainSwitching> {
    const lab = await Lab.create({ strongswan });
    try {
      const mesh = await PlainMesh.start(lab);
      for (const end of ENDS) {
        await mesh.register(end);
        await mesh.relay(end, otherEndOf(end));
      }
      const [from, to] = ENDS;
      await mesh.initiateDirect(from, to);
      const ping = await lab.longPing(from, lab.network.lanOf(to).address, {
        intervalSeconds: PING_INTERVAL_MS / 1000,
      });
      const trace = async () => ({ replies: await ping.replies(), intervalMs: PING_INTERVAL_MS });
      return new PlainSwitching(lab, mesh, { ping, trace, drops: await kernelDrops(lab, ENDS) });
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async fallAndRise(end: End, say: Say): Promise<void> {
    if (this.#isHeld) return;
    const givenUpMs = Date.now();
    await this.#mesh.terminateDirect(end, otherEndOf(end));
    await sleep(RELAYED_MS);
    this.#isHeld = !(await this.#mesh.initiateDirectEitherWay(end, otherEndOf(end), say));
    if (!this.#isHeld) this.#switches.push({ givenUpMs, directMs: Date.now() });
  }

  /** Fallbacks that an upgrade has followed. */
  get switches(): number {
    return this.#switches.length;
  }

  stop(): Promise<Losses> {
    return lossesOf(this.#lab, this.#watched, this.#switches);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#lab[Symbol.asyncDispose]();
  }
}

async function lossesOf(lab: Lab, { ping, trace, drops }: Watched, switches: readonly Switches[]): Promise<Losses> {
  const { sent, received } = await ping.stop();
  const when = lostAtMs(await trace()).map((atMs) => whenOf(atMs, switches));
  const dropsNow = await kernelDrops(lab, ENDS);
  return { sent, lost: sent - received, when, drops: drops && dropsNow && dropsBetween(drops, dropsNow) };
}

/** Which of the two switches a lost packet belongs to. */
function whenOf(lostMs: number, switches: readonly Switches[]): string {
  const last = switches.findLast(({ givenUpMs }) => givenUpMs <= lostMs + PING_INTERVAL_MS);
  if (last === undefined) return 'before the first';
  const [what, sinceMs] =
    lostMs + PING_INTERVAL_MS < last.directMs ? ['a fallback', last.givenUpMs] : ['an upgrade', last.directMs];
  return `${(lostMs - sinceMs).toFixed(0)} ms after ${what}`;
}
