import type { Clock } from '../clock.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';
import { canonicalAddress, type Endpoint } from './netcheck/endpoint.ts';
import { RepairPace } from './repair-pace.ts';

/** A hub that is there answers a rekeying at once. */
const MUTE_AFTER_MS = 800;
/** A rekeying that charon has not begun by then is not waited for. */
const GREETING_MS = 5000;
/** A hub that is silent is asked for its charon so often: it may be starting. */
const KNOCK_EVERY_MS = 2500;
/**
 * A charon that is there, and answers neither an IKE SA nor through its tunnels for so long, does not know them. All of a
 * hub's nodes find that out at the same time, and come back over as long again.
 */
const FORGOTTEN_AFTER_MS = { least: 1500, spread: 1500 } as const;
/**
 * So much longer where there is one peer only to ask through its tunnels. It may be the peer that is down, and then the
 * rekeying is all that speaks: charon sends that again after 2 s, with the settings that come with Cygnet.
 */
const ONE_PEER_MORE_MS = 1500;
/** So many packets through its tunnels have to be lost besides: the rekeying alone is one datagram, sent again after 4 s. */
const LOST_PACKETS_MIN = 4;
/** While a rekeying is open: at first, also after a knock was answered, and when it takes long. */
const LOOK_AGAIN_MS = { first: 250, later: 1000 } as const;

export interface HubRepairsDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether a charon answers strangers there. Takes a second or two; must not reject. */
  readonly knock: (endpoint: Endpoint) => Promise<boolean>;
  /** One has answered. */
  readonly onAnswer: () => void;
}

/** An IKE SA with a hub through which something came and nothing does any more, to no peer. */
export interface SilentHub {
  /** The peers to which something came through it. */
  readonly peers: number;
  /** Sends a packet through it to each of a few peers, now. */
  ask(): void;
  /** Of the packets that were sent to one of them since `atMs`, monotonic: how many should have been answered by now. */
  lostSince(atMs: number): number;
}

export interface HubRepairInput {
  /** The established IKE SAs with hubs. */
  readonly hubs: readonly IkeSa[];
  /** By the unique id of the IKE SA. */
  readonly silent: ReadonlyMap<number, SilentHub>;
}

export interface HubWishes {
  /** Hubs that do not answer, and for which there is another one. */
  readonly mute: readonly IkeSa[];
  /** Hubs that have started anew: their charon knows nothing of what was there before. */
  readonly restarted: readonly IkeSa[];
  /** CHILD SAs, by unique id. */
  readonly rekey: readonly number[];
  /** Ms until this is to be asked again; infinite: no hurry. */
  readonly lookInMs: number;
}

/** A rekeying that was asked of a CHILD SA, and what its hub has shown since. */
interface Greeting {
  readonly atMs: number;
  /** Packets that had come through the hub by then, by the unique ids of its CHILD SAs. */
  readonly packetsIn: ReadonlyMap<number, number>;
  readonly patienceMs: number;
  readonly knockedAtMs: number;
  /** When its charon was first seen to answer strangers. */
  readonly thereSinceMs: number | undefined;
}

/**
 * Greets hubs by the rekeying of a CHILD SA: a hub follows this node to its new address when it hears from it, and this node
 * sees whether the hub is there. One that does not answer is left for another one. Where there is no other one, it may have
 * started anew: a charon passes over in silence what it has no IKE SA for, so the liveness check would take 20 s and more.
 * It does answer strangers, though. A hub that answers not even those is out of reach, and may have everything when it
 * is back: its IKE SA stays. What was lost before it answered says nothing, and charon may not send the rekeying again for
 * 42 s; so packets are sent through its tunnels from then on, and several have to be lost. Nor is a hub given up through which
 * anything has come since it was greeted: it may be the peers that do not answer.
 */
export class HubRepairs {
  readonly #deps: HubRepairsDeps;
  readonly #pace: RepairPace;
  /** By the unique id of the CHILD SA. */
  readonly #greetings = new Map<number, Greeting>();
  /** The silent IKE SAs that were greeted since they are, by unique id. */
  #greetedSilent: ReadonlySet<number> = new Set();
  #isWanted = false;

  constructor(deps: HubRepairsDeps) {
    this.#deps = deps;
    this.#pace = new RepairPace(deps);
  }

  /** Every hub is to hear from this node. */
  greetAll(): void {
    this.#isWanted = true;
  }

  /** Greetings that were in vain on another network delay none here. */
  networkChanged(): void {
    this.#pace.beginAnew();
  }

  /** Something has come through since `atMs`, monotonic. */
  heardAt(atMs: number): void {
    this.#pace.heardAt(atMs);
  }

  /** What to do in this round. It counts on that being done. */
  decide({ hubs, silent }: HubRepairInput): HubWishes {
    this.#forget(hubs, silent);
    const mute = this.#muteOf(hubs, silent);
    const restarted = hubs.filter((hub) => this.#isForgotten(hub, silent.get(hub.uniqueId)));
    const rekey = this.#greet(hubs, silent);
    for (const hub of hubs) this.#examine(hub, silent.get(hub.uniqueId));
    return { mute, restarted, rekey, lookInMs: this.#lookInMs(hubs, silent) };
  }

  #forget(hubs: readonly IkeSa[], silent: HubRepairInput['silent']): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const childSas = new Map(hubs.flatMap((hub) => hub.childSas.map((childSa) => [childSa.uniqueId, childSa])));
    for (const [id, { atMs }] of this.#greetings) {
      const childSa = childSas.get(id);
      const isBegun = childSa !== undefined && isRekeying(childSa);
      const mayBegin = childSa !== undefined && isInstalled(childSa) && nowMs - atMs < GREETING_MS;
      if (!isBegun && !mayBegin) this.#greetings.delete(id);
    }
    this.#greetedSilent = new Set([...this.#greetedSilent].filter((id) => silent.has(id)));
  }

  /** The policies of another hub that carries something come next. */
  #muteOf(hubs: readonly IkeSa[], silent: HubRepairInput['silent']): readonly IkeSa[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const isMute = (hub: IkeSa): boolean => {
      const asked = silent.get(hub.uniqueId);
      const hasLost = (sinceMs: number): boolean => asked === undefined || asked.lostSince(sinceMs) >= LOST_PACKETS_MIN;
      return this.#openOf(hub).some(({ atMs }) => nowMs - atMs >= MUTE_AFTER_MS && hasLost(atMs));
    };
    const hasOther = hubs.some((hub) => !isMute(hub) && hub.childSas.some(isInstalled));
    return hasOther ? hubs.filter(isMute) : [];
  }

  #isForgotten(hub: IkeSa, silent: SilentHub | undefined): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    if (silent === undefined) return false;
    const moreMs = silent.peers > 1 ? 0 : ONE_PEER_MORE_MS;
    return this.#openOf(hub).some(
      ({ thereSinceMs = Infinity, patienceMs }) =>
        nowMs - thereSinceMs >= patienceMs + moreMs && silent.lostSince(thereSinceMs) >= LOST_PACKETS_MIN,
    );
  }

  /** The greetings of a hub that charon has sent, that are not answered, and since which nothing has come through the hub. */
  #openOf({ childSas }: IkeSa): readonly Greeting[] {
    return childSas
      .filter(isRekeying)
      .flatMap(({ uniqueId }) => this.#greetings.get(uniqueId) ?? [])
      .filter(({ packetsIn }) => childSas.every((each) => each.packetsIn <= (packetsIn.get(each.uniqueId) ?? 0)));
  }

  #greet(hubs: readonly IkeSa[], silent: HubRepairInput['silent']): readonly number[] {
    const wanted = this.#wanting(hubs, silent);
    if (this.#pace.waitMs > 0 || (wanted.length === 0 && !this.#isWanted)) return [];
    this.#isWanted = false;
    this.#pace.made();
    this.#greetedSilent = new Set(silent.keys());
    return wanted.flatMap(({ childSas }) => {
      const greeted = childSas.find(isInstalled);
      if (greeted === undefined) return [];
      this.#greetings.set(greeted.uniqueId, this.#newGreeting(childSas));
      return [greeted.uniqueId];
    });
  }

  #newGreeting(childSas: readonly ChildSa[]): Greeting {
    const { clock, random } = this.#deps;
    return {
      atMs: clock.monotonicMs(),
      packetsIn: new Map(childSas.map(({ uniqueId, packetsIn }) => [uniqueId, packetsIn])),
      patienceMs: FORGOTTEN_AFTER_MS.least + random() * FORGOTTEN_AFTER_MS.spread,
      knockedAtMs: Number.NEGATIVE_INFINITY,
      thereSinceMs: undefined,
    };
  }

  /** Who is to be greeted: all, or those whose silence is new. */
  #wanting(hubs: readonly IkeSa[], silent: HubRepairInput['silent']): readonly IkeSa[] {
    if (this.#isWanted) return hubs;
    return hubs.filter(({ uniqueId }) => silent.has(uniqueId) && !this.#greetedSilent.has(uniqueId));
  }

  /** A silent hub that was greeted is asked in every way. */
  #examine(hub: IkeSa, silent: SilentHub | undefined): void {
    if (silent === undefined || !hub.childSas.some(({ uniqueId }) => this.#greetings.has(uniqueId))) return;
    silent.ask();
    this.#knock(hub);
  }

  #knock(hub: IkeSa): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const address = canonicalAddress(hub.remoteHost);
    for (const { uniqueId } of hub.childSas.filter(isRekeying)) {
      const greeting = this.#greetings.get(uniqueId);
      if (greeting === undefined || address === undefined || greeting.thereSinceMs !== undefined) continue;
      if (nowMs - greeting.knockedAtMs < KNOCK_EVERY_MS) continue;
      this.#greetings.set(uniqueId, { ...greeting, knockedAtMs: nowMs });
      void this.#knockAt({ address, port: hub.remotePort }, uniqueId);
    }
  }

  async #knockAt(endpoint: Endpoint, childSaId: number): Promise<void> {
    const { clock, knock, onAnswer } = this.#deps;
    const isThere = await knock(endpoint);
    const greeting = this.#greetings.get(childSaId);
    if (!isThere || greeting === undefined) return;
    this.#greetings.set(childSaId, { ...greeting, thereSinceMs: clock.monotonicMs() });
    onAnswer();
  }

  #lookInMs(hubs: readonly IkeSa[], silent: HubRepairInput['silent']): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const open = [...this.#greetings.values()].map(
      ({ atMs, thereSinceMs = atMs }) => nowMs - thereSinceMs < GREETING_MS,
    );
    if (open.length > 0) return open.includes(true) ? LOOK_AGAIN_MS.first : LOOK_AGAIN_MS.later;
    return this.#isWanted || this.#wanting(hubs, silent).length > 0 ? this.#pace.waitMs : Infinity;
  }
}

function isInstalled({ state }: ChildSa): boolean {
  return state === 'INSTALLED';
}

function isRekeying({ state }: ChildSa): boolean {
  return state === 'REKEYING';
}
