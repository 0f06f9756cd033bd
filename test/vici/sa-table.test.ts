import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ViciEvent } from '../../src/vici/protocol/events.ts';
import type { ViciChildSa, ViciIkeSa } from '../../src/vici/protocol/sas.ts';
import { SaTable } from '../../src/vici/sa-table.ts';

const child = (uniqueid: number, state = 'INSTALLED', name = 'lan'): ViciChildSa =>
  ({ name, uniqueid, state }) as ViciChildSa;

const ike = (uniqueid: number, children: readonly ViciChildSa[] = [], state = 'ESTABLISHED'): ViciIkeSa => {
  const childSas = new Map(children.map((sa) => [`${sa.name}-${sa.uniqueid}`, sa]));
  return { name: 'gw', uniqueid, state, 'remote-host': '192.0.2.1', 'child-sas': childSas } as unknown as ViciIkeSa;
};

const ikeUpdown = (up: boolean, ikeSa: ViciIkeSa): ViciEvent => ({ name: 'ike-updown', body: { up, ikeSa } });
const childUpdown = (up: boolean, id: number, sa: ViciChildSa): ViciEvent => ({
  name: 'child-updown',
  body: { up, ikeSa: ike(id, [sa]) },
});
const ikeRekey = (old: number, now: number): ViciEvent => ({
  name: 'ike-rekey',
  body: { name: 'gw', old: ike(old), new: ike(now) },
});
const childRekey = (id: number, old: ViciChildSa, now: ViciChildSa): ViciEvent => ({
  name: 'child-rekey',
  body: { ikeSa: ike(id), old, new: now },
});

/** Unique ids only: `1{3,4}` is an IKE SA with two CHILD SAs. */
function shown(sas: Iterable<ViciIkeSa>): string {
  const texts = [...sas].map((sa) => {
    const ids = [...sa['child-sas'].values()].map(({ uniqueid }) => uniqueid);
    return `${sa.uniqueid}{${ids.sort((a, b) => a - b).join()}}`;
  });
  return texts.sort().join(' ');
}

function tableOf(...listed: readonly ViciIkeSa[]): SaTable {
  const table = new SaTable();
  table.reset(listed);
  return table;
}

/** What an event makes of the table: the steps it tells, then the SAs. */
function after(table: SaTable, event: ViciEvent): [string, string] {
  const steps = [...table.apply(event)].map(({ type }) => type);
  return [steps.join(), shown(table.sas.values())];
}

describe('the table of SAs', () => {
  it('leaves out attempts, what was replaced and what is being deleted', () => {
    const ofChildren = ['CREATED', 'INSTALLED', 'REKEYING', 'REKEYED', 'DELETING'].map((state, id) => child(id, state));
    const ofIkes = ['CREATED', 'CONNECTING', 'REKEYING', 'REKEYED', 'DELETING'].map((state, id) =>
      ike(10 + id, [], state),
    );
    expect(shown(tableOf(ike(1, ofChildren), ...ofIkes).sas.values())).toBe('12{} 1{1,2}');
  });

  it.each<[string, SaTable, ViciEvent, string, string]>([
    ['an IKE SA up', tableOf(), ikeUpdown(true, ike(1)), 'ike-up', '1{}'],
    ['an IKE SA that the list had already', tableOf(ike(1, [child(3)])), ikeUpdown(true, ike(1)), '', '1{3}'],
    ['an IKE SA down', tableOf(ike(1, [child(3)])), ikeUpdown(false, ike(1)), 'child-down,ike-down', ''],
    ['the end of an unknown IKE SA', tableOf(ike(2)), ikeUpdown(false, ike(1)), '', '2{}'],
    ['a CHILD SA up', tableOf(ike(1)), childUpdown(true, 1, child(3)), 'child-up', '1{3}'],
    ['a CHILD SA of an unknown IKE SA', tableOf(), childUpdown(true, 1, child(3)), 'ike-up,child-up', '1{3}'],
    ['a CHILD SA down', tableOf(ike(1, [child(3)])), childUpdown(false, 1, child(3)), 'child-down', '1{}'],
    ['the end of an unknown CHILD SA', tableOf(ike(1)), childUpdown(false, 1, child(3)), '', '1{}'],
    ['a rekeyed IKE SA, which keeps its CHILD SAs', tableOf(ike(1, [child(3)])), ikeRekey(1, 2), 'ike-rekey', '2{3}'],
    [
      'a rekeying that the list shows half done',
      tableOf(ike(1), ike(2, [child(3)])),
      ikeRekey(1, 2),
      'ike-rekey',
      '2{3}',
    ],
    ['a rekeying that the list had already', tableOf(ike(2, [child(3)])), ikeRekey(1, 2), '', '2{3}'],
    ['a rekeyed CHILD SA', tableOf(ike(1, [child(3)])), childRekey(1, child(3), child(4)), 'child-rekey', '1{4}'],
    ['a CHILD SA rekeyed before the list', tableOf(ike(1, [child(4)])), childRekey(1, child(3), child(4)), '', '1{4}'],
  ])('takes in %s', (_what, table, event, steps, sas) => expect(after(table, event)).toEqual([steps, sas]));

  it('takes the new addresses of an update from beside the IKE SA', () => {
    const table = tableOf(ike(1, [child(3)]));
    const addresses = { 'local-host': '10.0.0.1', 'local-port': 4500, 'remote-host': '192.0.2.9', 'remote-port': 4500 };
    const [step] = table.apply({ name: 'ike-update', body: { ...addresses, ikeSa: ike(1) } });
    expect(step).toMatchObject({ type: 'ike-update', ike: addresses });
    expect(shown(table.sas.values())).toBe('1{3}');
  });

  it('knows when the list was walked around a rekeying, and has neither SA', () => {
    const table = tableOf(ike(1, [], 'REKEYED'));
    expect(after(table, ikeRekey(1, 2))).toEqual(['', '']);
    expect(table.isIncomplete).toBe(true);
    table.reset([ike(2, [child(3)])]);
    expect(table.isIncomplete).toBe(false);
  });

  it('says whether another full list differs', () => {
    const table = tableOf(ike(1, [child(3)]));
    expect(table.reset([ike(1, [child(3, 'REKEYING')], 'REKEYING')])).toBe(false);
    expect(table.reset([ike(1)])).toBe(true);
  });
});

/** A charon without a network: it brings SAs up and down at random and announces what the real one announces. */
class ModelCharon {
  readonly events: ViciEvent[] = [];
  readonly sas = new Map<number, Map<number, ViciChildSa>>();
  /** Listed for a while, without any event to come. */
  #dying: ViciIkeSa[] = [];
  #nextId = 1;

  list(): readonly ViciIkeSa[] {
    const alive = [...this.sas].map(([id, children]) => ike(id, [...children.values()]));
    return [...this.#dying, ike(9000, [], 'CONNECTING'), ...alive];
  }

  step(kind: number, which: number): void {
    const ids = [...this.sas.keys()];
    const id = ids[which % Math.max(1, ids.length)];
    if (kind === 0 || id === undefined) return this.#up();
    const children = this.sas.get(id) ?? new Map<number, ViciChildSa>();
    const childId = [...children.keys()][which % Math.max(1, children.size)];
    if (kind === 1) return this.#down(id);
    if (kind === 2) return this.#rekey(id);
    if (kind === 3 || childId === undefined) return this.#childUp(id, children);
    return kind === 4 ? this.#childDown(id, children, childId) : this.#childRekey(id, children, childId);
  }

  #up(): void {
    const id = this.#nextId++;
    this.sas.set(id, new Map());
    this.events.push(ikeUpdown(true, ike(id)));
  }

  #down(id: number): void {
    this.events.push(ikeUpdown(false, ike(id)));
    for (const sa of this.sas.get(id)?.values() ?? []) this.events.push(childUpdown(false, id, sa));
    this.#dying = [ike(id, [], 'DELETING')];
    this.sas.delete(id);
  }

  #rekey(id: number): void {
    const now = this.#nextId++;
    this.events.push(ikeRekey(id, now));
    this.sas.set(now, this.sas.get(id) ?? new Map());
    this.#dying = [ike(id, [], 'REKEYED')];
    this.sas.delete(id);
  }

  #childUp(id: number, children: Map<number, ViciChildSa>): void {
    const sa = child(this.#nextId++);
    children.set(sa.uniqueid, sa);
    this.events.push(childUpdown(true, id, sa));
  }

  #childDown(id: number, children: Map<number, ViciChildSa>, childId: number): void {
    children.delete(childId);
    this.events.push(childUpdown(false, id, child(childId)));
  }

  #childRekey(id: number, children: Map<number, ViciChildSa>, childId: number): void {
    const sa = child(this.#nextId++);
    children.delete(childId);
    children.set(sa.uniqueid, sa);
    this.events.push(childRekey(id, child(childId), sa));
  }
}

describe('the table of SAs, whatever happens around the list', () => {
  const steps = fc.array(fc.tuple(fc.nat(5), fc.nat(9)), { maxLength: 40 });

  it('ends up with what charon has', () =>
    fc.assert(
      fc.property(steps, steps, steps, (before, meanwhile, later) => {
        const charon = new ModelCharon();
        for (const [kind, which] of before) charon.step(kind, which);
        charon.events.length = 0; // subscribed only now
        for (const [kind, which] of meanwhile) charon.step(kind, which);
        const table = tableOf(...charon.list()); // older events are still on their way
        for (const [kind, which] of later) charon.step(kind, which);
        for (const event of charon.events) for (const _ of table.apply(event));
        expect(shown(table.sas.values())).toBe(shown(charon.list().filter(({ state }) => state === 'ESTABLISHED')));
      }),
      { numRuns: 2000 },
    ));
});
