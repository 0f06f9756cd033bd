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
/** While a rekeying is open: at first, and when it takes long. */
const LOOK_AGAIN_MS = { first: 250, later: 1000 } as const;

export interface HubRepairsDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether a charon answers strangers there. Takes a second or two; must not reject. */
  readonly knock: (endpoint: Endpoint) => Promise<boolean>;
  /** One has answered. */
  readonly onAnswer: () => void;
}

export interface HubRepairInput {
  /** The established IKE SAs with hubs. */
  readonly hubs: readonly IkeSa[];
  /** Those, by unique id, through which something came and nothing does any more. */
  readonly silent: ReadonlySet<number>;
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
 * is back: its IKE SA stays.
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
    const mute = this.#muteOf(hubs);
    const restarted = hubs.filter((hub) => silent.has(hub.uniqueId) && !mute.includes(hub) && this.#isForgotten(hub));
    const rekey = this.#greet(hubs, silent);
    for (const hub of hubs) if (silent.has(hub.uniqueId)) this.#knock(hub);
    return { mute, restarted, rekey, lookInMs: this.#lookInMs(hubs, silent) };
  }

  #forget(hubs: readonly IkeSa[], silent: ReadonlySet<number>): void {
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
  #muteOf(hubs: readonly IkeSa[]): readonly IkeSa[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const isMute = (hub: IkeSa): boolean => this.#openOf(hub).some(({ atMs }) => nowMs - atMs >= MUTE_AFTER_MS);
    const hasOther = hubs.some((hub) => !isMute(hub) && hub.childSas.some(isInstalled));
    return hasOther ? hubs.filter(isMute) : [];
  }

  #isForgotten(hub: IkeSa): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    return this.#openOf(hub).some(({ thereSinceMs = Infinity, patienceMs }) => nowMs - thereSinceMs >= patienceMs);
  }

  /** The greetings of a hub that charon has sent, and that are not answered. */
  #openOf({ childSas }: IkeSa): readonly Greeting[] {
    return childSas.filter(isRekeying).flatMap(({ uniqueId }) => this.#greetings.get(uniqueId) ?? []);
  }

  #greet(hubs: readonly IkeSa[], silent: ReadonlySet<number>): readonly number[] {
    const wanted = this.#wanting(hubs, silent);
    if (this.#pace.waitMs > 0 || (wanted.length === 0 && !this.#isWanted)) return [];
    this.#isWanted = false;
    this.#pace.made();
    this.#greetedSilent = silent;
    const ids = wanted.flatMap(({ childSas }) => childSas.filter(isInstalled).slice(0, 1)).map((each) => each.uniqueId);
    const { clock, random } = this.#deps;
    for (const id of ids) {
      const patienceMs = FORGOTTEN_AFTER_MS.least + random() * FORGOTTEN_AFTER_MS.spread;
      const never = { knockedAtMs: Number.NEGATIVE_INFINITY, thereSinceMs: undefined };
      this.#greetings.set(id, { atMs: clock.monotonicMs(), patienceMs, ...never });
    }
    return ids;
  }

  /** Who is to be greeted: all, or those whose silence is new. */
  #wanting(hubs: readonly IkeSa[], silent: ReadonlySet<number>): readonly IkeSa[] {
    if (this.#isWanted) return hubs;
    return hubs.filter(({ uniqueId }) => silent.has(uniqueId) && !this.#greetedSilent.has(uniqueId));
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
    if (!isThere || greeting === undefined || greeting.thereSinceMs !== undefined) return;
    this.#greetings.set(childSaId, { ...greeting, thereSinceMs: clock.monotonicMs() });
    onAnswer();
  }

  #lookInMs(hubs: readonly IkeSa[], silent: ReadonlySet<number>): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const open = [...this.#greetings.values()].map(({ atMs }) => nowMs - atMs < GREETING_MS);
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
