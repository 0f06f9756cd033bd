import type { Clock } from '../clock.ts';
import type { ConnectionKind } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';

/** Repairs for a suspicion are at least this far apart: what breaks sooner may break for the same reason, or by a repair. */
const REPAIR_EVERY_MS = 5000;
/** A hub that is there answers a rekeying at once. */
const MUTE_AFTER_MS = 800;
/** A rekeying that charon has not begun by then is not waited for. */
const GREETING_MS = 5000;
/** An interface whose cable is loose for a moment seems to have no addresses. */
const GONE_AFTER_MS = 3000;
const LOOK_AGAIN_MS = 250;

/** Connections that this node sets up from an address of its own. */
const OUTWARD: readonly ConnectionKind[] = ['mediation-client', 'mediated-peer', 'spoke'];

export interface RepairInput {
  readonly desired: DesiredState;
  readonly ikeSas: readonly IkeSa[];
  /** The machine's own addresses. */
  readonly localAddresses: ReadonlySet<string>;
  /** Mediations whose outcome is open: they go through the registrations. */
  readonly trying: number;
}

/** SAs by their unique ids. */
export interface RepairWishes {
  readonly abandon: ReadonlySet<number>;
  readonly rekey: ReadonlySet<number>;
  /** Whether registrations are to be renewed: nothing should be set up through them now. */
  readonly renews: boolean;
  /** Ms until this is to be asked again; infinite: no hurry. */
  readonly lookInMs: number;
}

/**
 * Mends what charon does not notice by itself: an IKE SA that is bound to an address which the machine has lost, and a NAT
 * in front of it that has taken another address. A mediator tells a node's peers the address that it registered from, so
 * that registration is made anew; a hub follows the node to its new address as soon as it hears from it. A hub that does
 * not answer is left for another one.
 */
export class Repairs {
  readonly #clock: Clock;
  /** Local addresses of IKE SAs that were the machine's own, and since when they are not; undefined while they are. */
  readonly #goneSinceMs = new Map<string, number | undefined>();
  /** CHILD SAs with hubs, by unique id, that a rekeying was asked of, and when. */
  readonly #greetedAtMs = new Map<number, number>();
  #isRenewalWanted = false;
  #isGreetingWanted = false;
  #renewedAtMs = Number.NEGATIVE_INFINITY;
  #greetedHubsAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Others may see this node at another address now: nothing came back on any path, or a route has changed. */
  suspectAddress(): void {
    this.#isRenewalWanted = true;
    this.#isGreetingWanted = true;
  }

  /** What to do in this round. It counts on that being done. */
  decide(input: RepairInput): RepairWishes {
    const nowMs = this.#clock.monotonicMs();
    const kinds = new Map(input.desired.connections.map(({ name, kind }) => [name as string, kind]));
    const established = input.ikeSas.filter(({ state }) => state === 'ESTABLISHED');
    const ofKind = (kind: ConnectionKind): readonly IkeSa[] =>
      established.filter(({ name }) => kinds.get(name) === kind);
    const outward = established.filter(({ name }) => OUTWARD.includes(kinds.get(name) ?? 'hub'));
    this.#noteAddresses(outward, input.localAddresses, nowMs);
    const stale = outward.filter(({ localHost }) => this.#isGone(localHost, nowMs));
    const hubs = ofKind('spoke');
    const mute = this.#muteHubs(hubs, nowMs);
    const greets = this.#isGreetingWanted && nowMs - this.#greetedHubsAtMs >= REPAIR_EVERY_MS;
    const greeted = greets ? this.#greet(hubs, nowMs) : [];
    // Nothing new is begun through the registrations from the moment that they are to be renewed.
    const renews = this.#isRenewalWanted;
    const isDue = renews && input.trying === 0 && nowMs - this.#renewedAtMs >= REPAIR_EVERY_MS;
    const registrations = isDue ? this.#renew(ofKind('mediation-client'), nowMs) : [];
    return {
      abandon: new Set([...stale, ...registrations, ...mute].map(({ uniqueId }) => uniqueId)),
      rekey: new Set(greeted),
      renews: renews || stale.some(({ name }) => kinds.get(name) === 'mediation-client'),
      lookInMs: this.#lookInMs(nowMs),
    };
  }

  /** Forgets addresses that no IKE SA has any more. One that was never here is that of a charon elsewhere. */
  #noteAddresses(ikeSas: readonly IkeSa[], local: ReadonlySet<string>, nowMs: number): void {
    const used = new Set(ikeSas.map(({ localHost }) => localHost));
    for (const address of this.#goneSinceMs.keys()) if (!used.has(address)) this.#goneSinceMs.delete(address);
    for (const address of used) {
      if (local.has(address)) this.#goneSinceMs.set(address, undefined);
      else if (this.#goneSinceMs.has(address)) {
        this.#goneSinceMs.set(address, this.#goneSinceMs.get(address) ?? nowMs);
      }
    }
  }

  #isGone(address: string, nowMs: number): boolean {
    const sinceMs = this.#goneSinceMs.get(address);
    return sinceMs !== undefined && nowMs - sinceMs >= GONE_AFTER_MS;
  }

  /** An exchange with each hub, which shows it where this node is now, and this node whether the hub is there. */
  #greet(hubs: readonly IkeSa[], nowMs: number): readonly number[] {
    this.#isGreetingWanted = false;
    this.#greetedHubsAtMs = nowMs;
    const ids = hubs
      .flatMap(({ childSas }) => childSas.filter(isInstalled).slice(0, 1))
      .map(({ uniqueId }) => uniqueId);
    for (const id of ids) this.#greetedAtMs.set(id, nowMs);
    return ids;
  }

  #renew(registrations: readonly IkeSa[], nowMs: number): readonly IkeSa[] {
    this.#isRenewalWanted = false;
    this.#renewedAtMs = nowMs;
    return registrations;
  }

  /** Tunnels to hubs that do not answer, if there is one to another hub that carries something: its policies come next. */
  #muteHubs(hubs: readonly IkeSa[], nowMs: number): readonly IkeSa[] {
    const owing = new Set(
      hubs.flatMap(({ childSas }) => childSas.filter(isUnanswered)).map(({ uniqueId }) => uniqueId),
    );
    for (const [id, atMs] of this.#greetedAtMs) {
      if (!owing.has(id) || nowMs - atMs >= GREETING_MS) this.#greetedAtMs.delete(id);
    }
    const isMute = ({ childSas }: IkeSa): boolean =>
      childSas.some(
        ({ uniqueId, state }) =>
          state === 'REKEYING' && nowMs - (this.#greetedAtMs.get(uniqueId) ?? nowMs) >= MUTE_AFTER_MS,
      );
    const hasOther = hubs.some((hub) => !isMute(hub) && hub.childSas.some(isInstalled));
    return hasOther ? hubs.filter(isMute) : [];
  }

  #lookInMs(nowMs: number): number {
    if (this.#greetedAtMs.size > 0) return LOOK_AGAIN_MS;
    const waits = [...this.#goneSinceMs.values()].map((sinceMs = Infinity) => sinceMs + GONE_AFTER_MS - nowMs);
    if (this.#isRenewalWanted) waits.push(this.#renewedAtMs + REPAIR_EVERY_MS - nowMs);
    if (this.#isGreetingWanted) waits.push(this.#greetedHubsAtMs + REPAIR_EVERY_MS - nowMs);
    // What is over waits for something else: for an SA to go, or a try to end.
    return Math.min(...waits.filter((ms) => ms > 0));
  }
}

function isInstalled({ state }: ChildSa): boolean {
  return state === 'INSTALLED';
}

/** A rekeying that was asked for and has not come to its end. */
function isUnanswered({ state }: ChildSa): boolean {
  return state === 'INSTALLED' || state === 'REKEYING';
}
