import type { ViciEvent } from './protocol/events.ts';
import type { ViciChildSa, ViciIkeSa } from './protocol/sas.ts';

/** IKE SAs by unique id, with their CHILD SAs. Live: it moves on with the next change, so copy what must stay. */
export type SaMap = ReadonlyMap<number, ViciIkeSa>;

/** One change of the SAs; the table has it already. */
export type SaStep =
  | { readonly type: 'ike-up' | 'ike-down' | 'ike-update'; readonly ike: ViciIkeSa }
  | { readonly type: 'ike-rekey'; readonly old: ViciIkeSa; readonly ike: ViciIkeSa }
  | { readonly type: 'child-up' | 'child-down'; readonly ike: ViciIkeSa; readonly child: ViciChildSa }
  | {
      readonly type: 'child-rekey';
      readonly ike: ViciIkeSa;
      readonly old: ViciChildSa;
      readonly child: ViciChildSa;
    };

/**
 * States of SAs that charon will announce the end of. An SA that was replaced goes in silence (ike_delete.c), and so
 * does one that never came up.
 */
const IKE_STATES: readonly string[] = ['ESTABLISHED', 'REKEYING'];
const CHILD_STATES: readonly string[] = ['INSTALLED', 'UPDATING', 'REKEYING'];

type Children = Map<string, ViciChildSa>;

/**
 * Merges the full list of SAs with the events around it. Safe against events that are older than the list: unique ids
 * are never used twice within one charon, so what is known already comes up a second time without effect, and an end
 * finds nothing to end.
 */
export class SaTable {
  readonly #ikes = new Map<number, ViciIkeSa>();
  readonly #children = new Map<number, Children>();
  #isIncomplete = false;

  get sas(): SaMap {
    return this.#ikes;
  }

  /**
   * The list must be read again: it was walked while an IKE SA was rekeyed, saw the old one too late and the new one too
   * early, and so has neither.
   */
  get isIncomplete(): boolean {
    return this.#isIncomplete;
  }

  /** Takes over the full state. Returns whether it holds other SAs than before. */
  reset(listed: readonly ViciIkeSa[]): boolean {
    const before = this.#ids();
    this.#isIncomplete = false;
    this.#ikes.clear();
    this.#children.clear();
    for (const ike of listed) {
      if (!IKE_STATES.includes(ike.state)) continue;
      const alive = [...ike['child-sas'].values()].filter(({ state }) => CHILD_STATES.includes(state));
      this.#put(ike, new Map(alive.map((child) => [keyOf(child), child])));
    }
    return before !== this.#ids();
  }

  /** What an event changes, step by step: the table is as it says at each one. */
  *apply(event: ViciEvent): Generator<SaStep, void> {
    switch (event.name) {
      case 'ike-updown':
        return yield* event.body.up ? this.#ikeUp(event.body.ikeSa) : this.#ikeDown(event.body.ikeSa);
      case 'ike-rekey':
        return yield* this.#ikeRekey(event.body.old, event.body.new);
      case 'ike-update':
        return yield* this.#ikeUpdate({ ...event.body.ikeSa, ...addressesOf(event.body) });
      case 'child-updown':
        for (const child of event.body.ikeSa['child-sas'].values())
          yield* event.body.up ? this.#childUp(event.body.ikeSa, child) : this.#childDown(event.body.ikeSa, child);
        return undefined;
      case 'child-rekey':
        return yield* this.#childRekey(event.body.ikeSa, event.body.old, event.body.new);
      case 'alert':
      case 'control-log':
      case 'list-authority':
      case 'list-cert':
      case 'list-conn':
      case 'list-policy':
      case 'list-sa':
      case 'log':
        return undefined;
    }
  }

  *#ikeUp(ike: ViciIkeSa): Generator<SaStep, void> {
    const isNew = !this.#ikes.has(ike.uniqueid);
    const ikeNow = this.#put(ike, this.#children.get(ike.uniqueid) ?? new Map());
    if (isNew) yield { type: 'ike-up', ike: ikeNow };
  }

  /** charon tells of the CHILD SAs only afterwards; here they go first. */
  *#ikeDown(ike: ViciIkeSa): Generator<SaStep, void> {
    const children = this.#children.get(ike.uniqueid);
    if (children === undefined) return;
    for (const child of children.values()) yield* this.#childDown(ike, child);
    this.#drop(ike.uniqueid);
    yield { type: 'ike-down', ike: { ...ike, 'child-sas': children } };
  }

  /** The CHILD SAs go over to the new IKE SA, which nothing else tells. */
  *#ikeRekey(old: ViciIkeSa, ike: ViciIkeSa): Generator<SaStep, void> {
    const oldNow = this.#ikes.get(old.uniqueid);
    if (oldNow === undefined) {
      this.#isIncomplete ||= !this.#ikes.has(ike.uniqueid);
      return;
    }
    const inherited = this.#children.get(old.uniqueid) ?? [];
    this.#drop(old.uniqueid);
    const children = new Map([...inherited, ...(this.#children.get(ike.uniqueid) ?? [])]);
    yield { type: 'ike-rekey', old: oldNow, ike: this.#put(ike, children) };
  }

  *#ikeUpdate(ike: ViciIkeSa): Generator<SaStep, void> {
    const children = this.#children.get(ike.uniqueid);
    if (children !== undefined) yield { type: 'ike-update', ike: this.#put(ike, children) };
  }

  *#childUp(ike: ViciIkeSa, child: ViciChildSa): Generator<SaStep, void> {
    if (!this.#ikes.has(ike.uniqueid)) yield* this.#ikeUp(ike);
    const children = this.#children.get(ike.uniqueid) ?? new Map<string, ViciChildSa>();
    const isNew = !children.has(keyOf(child));
    children.set(keyOf(child), child);
    if (isNew) yield { type: 'child-up', ike: this.#put(ike, children), child };
  }

  *#childDown(ike: ViciIkeSa, child: ViciChildSa): Generator<SaStep, void> {
    const children = this.#children.get(ike.uniqueid);
    if (children?.delete(keyOf(child)) !== true) return;
    yield { type: 'child-down', ike: this.#put(ike, children), child };
  }

  *#childRekey(ike: ViciIkeSa, old: ViciChildSa, child: ViciChildSa): Generator<SaStep, void> {
    const children = this.#children.get(ike.uniqueid);
    if (children?.delete(keyOf(old)) !== true) return;
    children.set(keyOf(child), child);
    yield { type: 'child-rekey', ike: this.#put(ike, children), old, child };
  }

  /** The event tells the IKE SA anew, but of its CHILD SAs at most the one that it is about. */
  #put(ike: ViciIkeSa, children: Children): ViciIkeSa {
    const whole = { ...ike, 'child-sas': children };
    this.#ikes.set(ike.uniqueid, whole);
    this.#children.set(ike.uniqueid, children);
    return whole;
  }

  #drop(id: number): void {
    this.#ikes.delete(id);
    this.#children.delete(id);
  }

  #ids(): string {
    const ids = [...this.#children].map(([id, children]) => `${id}:${[...children.keys()].sort().join()}`);
    return ids.sort().join(' ');
  }
}

/** As charon spells it in list-sas. */
function keyOf({ name, uniqueid }: ViciChildSa): string {
  return `${name}-${uniqueid}`;
}

type Addresses = Pick<ViciIkeSa, 'local-host' | 'local-port' | 'remote-host' | 'remote-port'>;

/** The new ones stand beside the IKE SA, which may still have the old ones. */
function addressesOf(update: Addresses): Addresses {
  return {
    'local-host': update['local-host'],
    'local-port': update['local-port'],
    'remote-host': update['remote-host'],
    'remote-port': update['remote-port'],
  };
}
