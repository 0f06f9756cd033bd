import type { Clock } from '../clock.ts';
import type { ConnectionKind } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** What breaks so soon after something else breaks for the same reason, or by its repair. */
const RENEW_EVERY_MS = 5000;

/** A hub that is there answers a rekeying at once. */
const MUTE_AFTER_MS = 800;
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
  /** Whether a registration is renewed in this round: nothing should be set up through it now. */
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
  /** IKE SAs to hubs, by unique id, with a rekeying that is not answered yet. */
  readonly #owingSinceMs = new Map<number, number>();
  /** Local addresses of IKE SAs that were the machine's own when they were seen. */
  readonly #hadAddresses = new Set<string>();
  #isRenewalWanted = false;
  #isGreetingWanted = false;
  #suspectedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Others may see this node at another address now: a tunnel went silent, or a route has changed. */
  suspectAddress(): void {
    if (this.#clock.monotonicMs() - this.#suspectedAtMs < RENEW_EVERY_MS) return;
    this.#suspectedAtMs = this.#clock.monotonicMs();
    this.#isRenewalWanted = true;
    this.#isGreetingWanted = true;
  }

  /** Pure but for what it remembers of renewals and of hubs that owe an answer. */
  decide(input: RepairInput): RepairWishes {
    const kinds = new Map(input.desired.connections.map(({ name, kind }) => [name as string, kind]));
    const established = input.ikeSas.filter(({ state }) => state === 'ESTABLISHED');
    const ofKind = (kind: ConnectionKind): readonly IkeSa[] =>
      established.filter(({ name }) => kinds.get(name) === kind);
    this.#noteAddresses(established, input.localAddresses);
    const stale = established.filter(
      ({ name, localHost }) =>
        OUTWARD.includes(kinds.get(name) ?? 'hub') && this.#isGone(localHost, input.localAddresses),
    );
    const mute = this.#muteHubs(ofKind('spoke'));
    const greets = this.#isGreetingWanted;
    this.#isGreetingWanted = false;
    const renews = this.#isRenewalDue(input.trying);
    const registrations = renews ? ofKind('mediation-client') : [];
    return {
      abandon: new Set([...stale, ...registrations, ...mute].map(({ uniqueId }) => uniqueId)),
      rekey: new Set(greets ? ofKind('spoke').flatMap(firstChildId) : []),
      lookInMs: this.#owingSinceMs.size > 0 ? LOOK_AGAIN_MS : Infinity,
      renews: registrations.length > 0 || stale.some(({ name }) => kinds.get(name) === 'mediation-client'),
    };
  }

  #noteAddresses(ikeSas: readonly IkeSa[], local: ReadonlySet<string>): void {
    const used = new Set(ikeSas.map(({ localHost }) => localHost));
    for (const address of this.#hadAddresses) if (!used.has(address)) this.#hadAddresses.delete(address);
    for (const address of used) if (local.has(address)) this.#hadAddresses.add(address);
  }

  /**
   * Whether the machine had this address and has it no more. One that it never had is that of a charon elsewhere, in
   * another network namespace perhaps.
   */
  #isGone(address: string, local: ReadonlySet<string>): boolean {
    return this.#hadAddresses.has(address) && !local.has(address);
  }

  /** Tunnels to hubs that do not answer a rekeying, if there is one to another hub: its policies come next. */
  #muteHubs(tunnels: readonly IkeSa[]): readonly IkeSa[] {
    const nowMs = this.#clock.monotonicMs();
    const owing = new Set(tunnels.filter(isRekeyingChild).map(({ uniqueId }) => uniqueId));
    for (const id of this.#owingSinceMs.keys()) if (!owing.has(id)) this.#owingSinceMs.delete(id);
    for (const id of owing) if (!this.#owingSinceMs.has(id)) this.#owingSinceMs.set(id, nowMs);
    const mute = tunnels.filter(({ uniqueId }) => nowMs - (this.#owingSinceMs.get(uniqueId) ?? nowMs) >= MUTE_AFTER_MS);
    return mute.length < tunnels.length ? mute : [];
  }

  #isRenewalDue(trying: number): boolean {
    if (!this.#isRenewalWanted || trying > 0) return false;
    this.#isRenewalWanted = false;
    return true;
  }
}

function isRekeyingChild({ childSas }: IkeSa): boolean {
  return childSas.some(({ state }) => state === 'REKEYING');
}

function firstChildId({ childSas }: IkeSa): readonly number[] {
  return childSas
    .filter(({ state }) => state === 'INSTALLED')
    .slice(0, 1)
    .map(({ uniqueId }) => uniqueId);
}
