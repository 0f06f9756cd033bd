import type { Clock } from '../clock.ts';
import type { ChildRef, DesiredLink, DesiredState, MeshAddressPair } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';
import type { SilentHub } from './hub-repairs.ts';
import { indexSas, installedIn, type SasOf } from './installed-sas.ts';
import { pingOnce, type PingAnswer } from './path-ping.ts';
import { ProbeResponder } from './probe-responder.ts';
import { Prober, type ProbeReading, type ProbeTarget } from './prober.ts';

/** Counters are compared over at least this long. */
const USAGE_EVERY_MS = 2000;
/** Probes that are under way while charon is asked. */
const UNDERWAY_PACKETS_MAX = 4;
/** A tunnel that nothing is heard through, and that nothing speaks against: the peer's firewall drops probes. */
const UNKNOWABLE_AFTER_MS = 60_000;
/** Without a relay nothing is gained by haste. */
const SILENT_WITHOUT_RELAY_MS = 10_000;
/** Peers that are asked through a hub at once: all nodes ask through it, of all its links. */
const ASKED_THROUGH_HUB_MAX = 4;

type Path = ProbeTarget['path'];

/** What a path is that nobody uses. */
const UNUSED: Readonly<Record<Path, ProbeTarget['use']>> = { direct: 'idle', relay: 'spare' };

interface Usage {
  readonly atMs: number;
  readonly packets: number;
  readonly inUse: boolean;
}

interface RelayPath {
  readonly link: string;
  readonly answeredAtMs: number;
}

/** Probes the paths of this node's links, and answers the probes of its peers. Owns the sockets. */
export class LinkWatch implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #prober: Prober;
  readonly #responder: ProbeResponder;
  readonly #usage = new Map<string, Usage>();
  /** What peers may give up: initiator SPIs of direct IKE SAs, by the peer's relay address, while the relay is up. */
  #direct: ReadonlyMap<string, readonly string[]> = new Map();
  /** Initiator SPIs of IKE SAs that a peer has given up. */
  #lost: ReadonlySet<string> = new Set();
  #ownRelayAddress: string | undefined;
  #dead: ReadonlyMap<string, number> = new Map();
  /** When a peer asked last; before anything has: never. */
  #askedAtMs = Number.NEGATIVE_INFINITY;

  /** `onChange`: a path has come to life, or has died. */
  constructor(deps: { readonly clock: Clock; readonly random: () => number; readonly onChange: () => void }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#prober = new Prober(deps);
    this.#responder = new ProbeResponder({
      onAsked: (to, from) => {
        this.#askedAtMs = deps.clock.monotonicMs();
        this.#prober.askBack(to, from);
      },
      onLost: (to, from, initiatorSpi) => {
        // Only what came through the relay's tunnel: nothing else says who sent it.
        const isKnown = to === this.#ownRelayAddress && this.#direct.get(from)?.includes(initiatorSpi) === true;
        if (!isKnown || this.#lost.has(initiatorSpi)) return;
        this.#lost = new Set([...this.#lost, initiatorSpi]);
        deps.onChange();
      },
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
    const sasOf = indexSas(ikeSas);
    const targets = own === undefined ? [] : desired.links.flatMap((link) => this.#targets(link, own, sasOf));
    this.#prober.watch(targets);
    this.#ownRelayAddress = own?.relay;
    this.#direct = new Map(
      desired.links.flatMap(({ direct, relay, peerAddresses }): [string, readonly string[]][] => {
        if (peerAddresses === undefined || installedIn(relay, sasOf).length === 0) return [];
        return [[peerAddresses.relay, installedIn(direct, sasOf).map(({ initiatorSpi }) => initiatorSpi)]];
      }),
    );
    const present = new Set(ikeSas.map(({ initiatorSpi }) => initiatorSpi));
    this.#lost = new Set([...this.#lost].filter((spi) => present.has(spi)));
    const paths = new Set(targets.map(({ link, path }) => `${link} ${path}`));
    for (const key of this.#usage.keys()) if (!paths.has(key)) this.#usage.delete(key);
  }

  /** Undefined for a path that is not up, or that cannot be probed. */
  reading(link: string, path: Path): ProbeReading | undefined {
    return this.#prober.reading(link, path);
  }

  /**
   * Whether nothing comes through the direct tunnel of a link, which goes through these IKE SAs. Where there is a relay it
   * has to work, or else it is not the tunnel that is to blame, and nothing would be gained: a peer that is down, or whose
   * agent hangs, answers on neither.
   */
  isSilent({ id: link, relay: hasRelay }: DesiredLink, ikeSas: readonly IkeSa[]): boolean {
    if (ikeSas.length > 0 && ikeSas.every(({ initiatorSpi }) => this.#lost.has(initiatorSpi))) return true;
    const direct = this.#prober.reading(link, 'direct');
    if (direct === undefined || direct.sas !== sasText(ikeSas) || direct.health === 'alive') return false;
    const relay = this.#prober.reading(link, 'relay');
    if (hasRelay.length === 0) return direct.health === 'dead' && direct.silentMs >= SILENT_WITHOUT_RELAY_MS;
    return relay?.health === 'alive' && direct.isOutdone;
  }

  /**
   * IKE SAs with hubs, by unique id, through which something has come and nothing does any more, to no peer. Those that no
   * probe tells of, as of new ones, are not among them.
   */
  silentHubs({ links }: DesiredState, ikeSas: readonly IkeSa[]): ReadonlyMap<number, SilentHub> {
    const sasOf = indexSas(ikeSas);
    const alive = new Set<number>();
    const dead = new Map<number, RelayPath[]>();
    for (const { id, relay } of links) {
      const carriers = installedIn(relay, sasOf);
      const reading = this.#prober.reading(id, 'relay');
      if (reading === undefined || reading.sas !== sasText(carriers)) continue;
      for (const { uniqueId } of carriers) {
        if (reading.health === 'alive') alive.add(uniqueId);
        if (reading.health !== 'dead') continue;
        const paths = dead.get(uniqueId) ?? [];
        paths.push({ link: id, answeredAtMs: reading.answeredAtMs ?? 0 });
        dead.set(uniqueId, paths);
      }
    }
    const silent = [...dead].filter(([hub]) => !alive.has(hub));
    return new Map(silent.map(([hub, paths]) => [hub, this.#silentHub(paths)]));
  }

  /** Asks the peers that were heard last: they are the most likely to be there. */
  #silentHub(paths: readonly RelayPath[]): SilentHub {
    const recent = paths.toSorted((a, b) => b.answeredAtMs - a.answeredAtMs).slice(0, ASKED_THROUGH_HUB_MAX);
    return {
      peers: paths.length,
      ask: () => {
        for (const { link } of recent) this.#prober.ask(link, 'relay');
      },
      lostSince: (atMs) => Math.max(...recent.map(({ link }) => this.#prober.lostSince(link, 'relay', atMs))),
    };
  }

  /** When anything came back through any path last, monotonic ms; undefined before anything has. */
  get heardAtMs(): number | undefined {
    return this.#prober.heardAtMs;
  }

  /** Whether packets are known to pass the direct tunnel of a link, which goes through these IKE SAs, or nothing can be known. */
  isProven({ id, peerAddresses }: DesiredLink, ikeSas: readonly IkeSa[]): boolean {
    const direct = this.#prober.reading(id, 'direct');
    if (direct !== undefined) {
      const isUnknowable = direct.health === 'unknown' && direct.silentMs >= UNKNOWABLE_AFTER_MS;
      return direct.sas === sasText(ikeSas) && (direct.health === 'alive' || isUnknowable);
    }
    return peerAddresses === undefined || this.#ownRelayAddress === undefined;
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

  /**
   * Whether paths have died since the last time that this was asked, and nothing at all has come since, neither an answer nor
   * a question: then it may be this node's own network. Where all answers are late, questions are what still comes.
   */
  takeOwnSilence(): boolean {
    const before = this.#dead;
    this.#dead = this.#prober.dead();
    const sinceMs = Math.min(...[...this.#dead].filter(([path]) => !before.has(path)).map(([, atMs]) => atMs));
    return Number.isFinite(sinceMs) && Math.max(this.heardAtMs ?? -Infinity, this.#askedAtMs) <= sinceMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prober[Symbol.dispose]();
    await this.#responder[Symbol.asyncDispose]();
  }

  #targets(
    { id, direct, relay, peerAddresses: peer }: DesiredLink,
    own: MeshAddressPair,
    sasOf: SasOf,
  ): readonly ProbeTarget[] {
    if (peer === undefined) return [];
    const target = (path: Path, refs: readonly ChildRef[], local: string, remote: string): readonly ProbeTarget[] => {
      const carriers = installedIn(refs, sasOf);
      if (carriers.length === 0) return [];
      const sas = sasText(carriers);
      const isInUse = this.#isInUse(id, path, refs, carriers, remote);
      return [{ link: id, path, local, remote, sas, use: isInUse ? 'busy' : UNUSED[path] }];
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
    // All relays of a node come up at once. One that is used is found out at the next look.
    const isUnknown = before === undefined;
    const inUse = isUnknown ? path === 'direct' : Math.abs(packets - before.packets) > UNDERWAY_PACKETS_MAX;
    this.#usage.set(key, { atMs: nowMs, packets, inUse });
    return inUse;
  }
}

function sasText(carriers: readonly IkeSa[]): string {
  return carriers.map(({ uniqueId }) => uniqueId).join();
}
