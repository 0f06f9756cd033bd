import type { Clock } from '../clock.ts';
import type { ConnectionKind } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';
import { HubRepairs, type HubRepairsDeps, type SilentHub } from './hub-repairs.ts';
import { RepairPace } from './repair-pace.ts';

/** An interface whose cable is loose for a moment seems to have no addresses. */
const GONE_AFTER_MS = 3000;

/** Connections that this node sets up from an address of its own. */
const OUTWARD: readonly ConnectionKind[] = ['mediation-client', 'mediated-peer', 'spoke'];

export interface RepairInput {
  readonly desired: DesiredState;
  readonly ikeSas: readonly IkeSa[];
  /** The machine's own addresses. */
  readonly localAddresses: ReadonlySet<string>;
  /** Tries of direct paths whose outcome is open: they go through the registrations. */
  readonly trying: number;
  /** By the unique id of the IKE SA with the hub. */
  readonly silentHubs: ReadonlyMap<number, SilentHub>;
  /** Whether SAs go on carrying packets when their charon has crashed: the kernel has them. */
  readonly outliveCharon: boolean;
  /** When anything came through any path last, monotonic; undefined before anything has. */
  readonly heardAtMs: number | undefined;
}

/** SAs by their unique ids. */
export interface RepairWishes {
  readonly abandon: ReadonlySet<number>;
  readonly rekey: ReadonlySet<number>;
  /** Whether registrations are renewed now or within seconds: nothing should be set up through them. */
  readonly renews: boolean;
  /** Ms until this is to be asked again; infinite: no hurry. */
  readonly lookInMs: number;
}

/**
 * Mends what charon does not notice by itself: an IKE SA that is bound to an address which the machine has lost, and a NAT
 * in front of it that has taken another address. A mediator tells a node's peers the address that it registered from, so
 * that registration is made anew. What concerns the hubs is in {@link HubRepairs}.
 */
export class Repairs {
  readonly #clock: Clock;
  /** Local addresses of IKE SAs that were the machine's own, and since when they are not; undefined while they are. */
  readonly #goneSinceMs = new Map<string, number | undefined>();
  readonly #hubs: HubRepairs;
  readonly #renewalPace: RepairPace;
  /** The IKE SA of each registration, by the connection's name: unique ids, until this node ends it. */
  readonly #registrations = new Map<string, number>();
  #isRenewalWanted = false;

  constructor(deps: HubRepairsDeps) {
    this.#clock = deps.clock;
    this.#hubs = new HubRepairs(deps);
    this.#renewalPace = new RepairPace(deps);
  }

  /** Others may see this node at another address now: nothing came back on any path. */
  suspectAddress(): void {
    this.#isRenewalWanted = true;
    this.#hubs.greetAll();
  }

  /** This machine is on another network: repairs that were in vain on the last one delay none here. */
  networkChanged(): void {
    this.#renewalPace.beginAnew();
    this.#hubs.networkChanged();
    this.suspectAddress();
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
    this.#noteHeard(input.heardAtMs);
    const registrations = ofKind('mediation-client');
    this.#noteRegistrations(registrations, input.outliveCharon);
    const hubs = this.#hubs.decide({ hubs: ofKind('spoke'), silent: input.silentHubs });
    const forgotten = registrations.filter((sa) => hubs.restarted.some((hub) => isSameEnd(sa, hub)));
    // Nothing new is begun through the registrations shortly before they are renewed; of a long back-off the rest is for tries.
    const renews = this.#isRenewalWanted && this.#renewalPace.isNear;
    // Where a mediation is lost with its registration, charon waits for its outcome for ever, and asks for that peer no more.
    const isOpen = input.trying > 0 || registrations.some(({ isMediating }) => isMediating);
    const renewed = isOpen ? [] : this.#renew(registrations);
    const abandoned = [...stale, ...renewed, ...forgotten, ...hubs.mute, ...hubs.restarted];
    for (const { name } of abandoned) this.#registrations.delete(name);
    return {
      abandon: new Set(abandoned.map(({ uniqueId }) => uniqueId)),
      rekey: new Set(hubs.rekey),
      renews: renews || abandoned.some(({ name }) => kinds.get(name) === 'mediation-client'),
      lookInMs: Math.min(this.#lookInMs(nowMs), hubs.lookInMs),
    };
  }

  /**
   * A registration that was lost may have been lost with its charon, which may be a hub's, too. Where its SAs go on carrying
   * packets no silence tells, so the hub is asked.
   */
  #noteRegistrations(registrations: readonly IkeSa[], outliveCharon: boolean): void {
    for (const { name, uniqueId } of registrations) {
      const isAnew = (this.#registrations.get(name) ?? uniqueId) !== uniqueId;
      if (isAnew && outliveCharon) this.#hubs.greetAll();
      this.#registrations.set(name, uniqueId);
    }
  }

  #noteHeard(atMs = Number.NEGATIVE_INFINITY): void {
    this.#hubs.heardAt(atMs);
    this.#renewalPace.heardAt(atMs);
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

  #renew(registrations: readonly IkeSa[]): readonly IkeSa[] {
    if (!this.#isRenewalWanted || this.#renewalPace.waitMs > 0) return [];
    this.#isRenewalWanted = false;
    this.#renewalPace.made();
    return registrations;
  }

  #lookInMs(nowMs: number): number {
    const waits = [...this.#goneSinceMs.values()].map((sinceMs = Infinity) => sinceMs + GONE_AFTER_MS - nowMs);
    if (this.#isRenewalWanted) waits.push(this.#renewalPace.waitMs);
    // What is over waits for something else: for an SA to go, or a try to end.
    return Math.min(...waits.filter((ms) => ms > 0));
  }
}

/** Whether the same charon is at the other end of both: a mediator may be a hub, too. */
function isSameEnd(a: IkeSa, b: IkeSa): boolean {
  return a.remoteHost === b.remoteHost && a.remotePort === b.remotePort;
}
