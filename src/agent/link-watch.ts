import type { Clock } from '../clock.ts';
import type { ChildRef, DesiredLink, DesiredState, MeshAddressPair } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';
import { pingOnce, type PingAnswer } from './path-ping.ts';
import { ProbeResponder } from './probe-responder.ts';
import { Prober, type ProbeReading, type ProbeTarget } from './prober.ts';
import { installedIn } from './report.ts';

/** Counters are compared over at least this long. */
const USAGE_EVERY_MS = 2000;
/** Probes that are under way while charon is asked. */
const UNDERWAY_PACKETS_MAX = 4;
/** A direct tunnel through which nothing has ever come, while the relay works: after this long it is of no use. */
const NEVER_ALIVE_MS = 5000;

/** What a peer said so lately has come through this node's network as it is now. */
const JUST_NOW_MS = 1000;
/** IKE SAs given up by one peer that are remembered: there is one at a time, two for a moment. */
const LOST_MAX = 4;

type Path = ProbeTarget['path'];

interface Usage {
  readonly atMs: number;
  readonly packets: number;
  readonly inUse: boolean;
}

/** Probes the paths of this node's links, and answers the probes of its peers. Owns the sockets. */
export class LinkWatch implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #prober: Prober;
  readonly #responder: ProbeResponder;
  /** Initiator SPIs of IKE SAs that a peer has given up, by the peer's relay address: its last few. */
  readonly #lost = new Map<string, readonly string[]>();
  readonly #usage = new Map<string, Usage>();
  #dead: ReadonlySet<string> = new Set();
  #peerSpokeAtMs = Number.NEGATIVE_INFINITY;

  /** `onChange`: a path has come to life, or has died. */
  constructor(deps: { readonly clock: Clock; readonly random: () => number; readonly onChange: () => void }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#prober = new Prober(deps);
    this.#responder = new ProbeResponder((from, initiatorSpi) => {
      this.#lost.set(from, [...(this.#lost.get(from) ?? []), initiatorSpi].slice(-LOST_MAX));
      this.#peerSpokeAtMs = deps.clock.monotonicMs();
      deps.onChange();
    });
  }

  get problem(): string | null {
    return this.#responder.problem;
  }

  /** Probes what charon has installed now. */
  look(desired: DesiredState, ikeSas: readonly IkeSa[]): void {
    const own = desired.addresses;
    const peers = desired.links.flatMap(({ peerAddresses }) => (peerAddresses === undefined ? [] : [peerAddresses]));
    this.#responder.serve(
      own === undefined ? [] : [own.mesh, own.relay],
      new Set(peers.flatMap(({ mesh, relay }) => [mesh, relay])),
    );
    const targets = own === undefined ? [] : desired.links.flatMap((link) => this.#targets(link, own, ikeSas));
    this.#prober.watch(targets);
    for (const address of this.#lost.keys())
      if (!peers.some(({ relay }) => relay === address)) this.#lost.delete(address);
    const present = new Set(targets.map(({ link, path }) => `${link} ${path}`));
    for (const key of this.#usage.keys()) if (!present.has(key)) this.#usage.delete(key);
  }

  /** Undefined for a path that is not up, or that cannot be probed. */
  reading(link: string, path: Path): ProbeReading | undefined {
    return this.#prober.reading(link, path);
  }

  /** Whether nothing comes through the direct tunnel of a link, which goes through these IKE SAs. */
  isSilent({ id: link, peerAddresses }: DesiredLink, ikeSas: readonly IkeSa[]): boolean {
    const lost = this.#lost.get(peerAddresses?.relay ?? '') ?? [];
    if (ikeSas.length > 0 && ikeSas.every(({ initiatorSpi }) => lost.includes(initiatorSpi))) return true;
    const direct = this.#prober.reading(link, 'direct');
    if (direct === undefined || direct.health === 'alive') return false;
    if (direct.health === 'dead') return true;
    return direct.silentMs >= NEVER_ALIVE_MS && this.#prober.reading(link, 'relay')?.health === 'alive';
  }

  /** Tells the peer through the relay that this end gives up these IKE SAs: it need not find out by itself. */
  tellLost(own: MeshAddressPair | undefined, link: DesiredLink, ikeSas: readonly IkeSa[]): void {
    if (own === undefined || link.peerAddresses === undefined) return;
    for (const { initiatorSpi } of ikeSas) this.#responder.tellLost(own.relay, link.peerAddresses.relay, initiatorSpi);
  }

  /** One packet through each path of a link, at the same time. */
  async ping(link: string): Promise<{ readonly [P in Path]: PingAnswer }> {
    const through = async (path: Path): Promise<PingAnswer> => {
      const target = this.#prober.target(link, path);
      return target === undefined ? { outcome: 'not-up' } : pingOnce(target.local, target.remote, this.#random);
    };
    const [direct, relay] = await Promise.all([through('direct'), through('relay')]);
    return { direct, relay };
  }

  /** Whether a path has died since the last time that this was asked. */
  takeDeath(): boolean {
    const before = this.#dead;
    this.#dead = this.#prober.dead();
    return [...this.#dead].some((path) => !before.has(path));
  }

  /** Whether something has come back through any path since the ones that are silent now fell silent. */
  isNetworkFine(): boolean {
    const isJustNow = this.#clock.monotonicMs() - this.#peerSpokeAtMs < JUST_NOW_MS;
    return isJustNow || this.#prober.hasAnswerSinceSilence();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prober[Symbol.dispose]();
    await this.#responder[Symbol.asyncDispose]();
  }

  #targets(
    { id, direct, relay, peerAddresses: peer }: DesiredLink,
    own: MeshAddressPair,
    ikeSas: readonly IkeSa[],
  ): readonly ProbeTarget[] {
    if (peer === undefined) return [];
    const target = (path: Path, refs: readonly ChildRef[], local: string, remote: string): readonly ProbeTarget[] => {
      const carriers = installedIn(refs, ikeSas);
      if (carriers.length === 0) return [];
      const sas = carriers.map(({ uniqueId }) => uniqueId).join();
      return [{ link: id, path, local, remote, sas, inUse: this.#isInUse(id, path, refs, carriers, remote) }];
    };
    return [...target('direct', direct, own.mesh, peer.mesh), ...target('relay', relay, own.relay, peer.relay)];
  }

  /** More packets than the probes and their answers have passed since the last look. */
  #isInUse(link: string, path: Path, refs: readonly ChildRef[], carriers: readonly IkeSa[], remote: string): boolean {
    const key = `${link} ${path}`;
    const nowMs = this.#clock.monotonicMs();
    const before = this.#usage.get(key);
    if (before !== undefined && nowMs - before.atMs < USAGE_EVERY_MS) return before.inUse;
    const seen = carriers
      .flatMap(({ childSas }) => childSas.filter(({ name }) => refs.some(({ child }) => child === name)))
      .reduce((sum, { packetsIn, packetsOut }) => sum + packetsIn + packetsOut, 0);
    // Each answer is a packet in and one out.
    const ours = this.#prober.packets(link, path) + 2 * this.#responder.answersTo(remote);
    const packets = seen - ours;
    const inUse = before === undefined || Math.abs(packets - before.packets) > UNDERWAY_PACKETS_MAX;
    this.#usage.set(key, { atMs: nowMs, packets, inUse });
    return inUse;
  }
}
