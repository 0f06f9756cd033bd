import type { ViciInput } from '../message.ts';
import {
  childSection,
  heritageOfChild,
  heritageOfIke,
  ikeSection,
  isDeleted,
  keyOf,
  withChildren,
  type ChildSaFields,
  type FakeChildSa,
  type FakeIkeSa,
  type IkeSaAddresses,
  type IkeSaFields,
} from './sa-sections.ts';

interface IkeRecord extends FakeIkeSa {
  fields: IkeSaFields;
  readonly children: Set<ChildRecord>;
}
interface ChildRecord extends FakeChildSa {
  fields: ChildSaFields;
}

/** Gets the events of every change. */
export type EmitEvent = (event: string, body: ViciInput) => void;

/**
 * The SAs of one life of a charon. Each method changes them and emits the events that charon 5.9.8 was seen to emit, in
 * its order and spelling. Unique ids count from 1, those of IKE SAs and of CHILD SAs each for itself.
 */
export class FakeSas {
  readonly #emit: EmitEvent;
  readonly #ikes = new Set<IkeRecord>();
  #lastIkeId = 0;
  #lastChildId = 0;

  constructor(emit: EmitEvent) {
    this.#emit = emit;
  }

  /** In the order of their coming up. */
  get all(): ReadonlySet<FakeIkeSa> {
    return this.#ikes;
  }

  ikeUp(name: string, fields: IkeSaFields): FakeIkeSa {
    const ike = this.#addIke(name, fields);
    this.#emit('ike-updown', { up: 'yes', [name]: ikeSection(ike) });
    return ike;
  }

  /** Its CHILD SAs go with it, each with an event behind that of the IKE SA, in which it is still INSTALLED. */
  ikeDown(sa: FakeIkeSa): void {
    const ike = this.#own(sa);
    this.#ikes.delete(ike);
    const section = ikeSection(ike, 'DELETING');
    this.#emit('ike-updown', { [ike.name]: section });
    for (const child of ike.children) {
      if (!isDeleted(child)) this.#emit('child-updown', { [ike.name]: withChildren(section, keyed(child)) });
    }
  }

  /** The new IKE SA takes over the CHILD SAs. */
  ikeRekey(sa: FakeIkeSa): FakeIkeSa {
    const old = this.#own(sa);
    this.#ikes.delete(old);
    const ike = this.#addIke(old.name, heritageOfIke(old.fields));
    for (const child of old.children) ike.children.add(child);
    this.#emit('ike-rekey', { [ike.name]: { old: ikeSection(old, 'REKEYING'), new: ikeSection(ike) } });
    return ike;
  }

  /** The event has the new addresses at its top, and the old ones in the section of the IKE SA. */
  ikeUpdate(sa: FakeIkeSa, addresses: IkeSaAddresses): void {
    const ike = this.#own(sa);
    const before = ikeSection(ike);
    ike.fields = { ...ike.fields, ...addresses };
    const after = ikeSection(ike);
    const moved = ['local-host', 'local-port', 'remote-host', 'remote-port'].map((key) => [key, after.get(key)]);
    this.#emit('ike-update', { ...Object.fromEntries(moved), [ike.name]: before });
  }

  childUp(sa: FakeIkeSa, name: string, fields: ChildSaFields): FakeChildSa {
    const ike = this.#own(sa);
    const child = this.#addChild(ike, name, fields);
    this.#emit('child-updown', { up: 'yes', [ike.name]: withChildren(ikeSection(ike), keyed(child)) });
    return child;
  }

  childDown(sa: FakeChildSa): void {
    const { ike, child } = this.#ownChild(sa);
    ike.children.delete(child);
    this.#emit('child-updown', { [ike.name]: withChildren(ikeSection(ike), keyed(child, 'DELETED')) });
  }

  /**
   * The old CHILD SA goes without an event of its own. charon lists it as DELETED for five more seconds; the fake does
   * until the next rekeying, or until its IKE SA ends.
   */
  childRekey(sa: FakeChildSa): FakeChildSa {
    const { ike, child: old } = this.#ownChild(sa);
    for (const child of ike.children) if (isDeleted(child)) ike.children.delete(child);
    const child = this.#addChild(ike, old.name, heritageOfChild(old.fields));
    const both = { old: childSection(old, 'REKEYED'), new: childSection(child) };
    this.#emit('child-rekey', { [ike.name]: withChildren(ikeSection(ike), { [old.name]: both }) });
    old.fields = { ...old.fields, state: 'DELETED' };
    return child;
  }

  #addIke(name: string, fields: IkeSaFields): IkeRecord {
    this.#lastIkeId += 1;
    const ike = { name, uniqueid: this.#lastIkeId, fields, children: new Set<ChildRecord>() };
    this.#ikes.add(ike);
    return ike;
  }

  #addChild(ike: IkeRecord, name: string, fields: ChildSaFields): ChildRecord {
    this.#lastChildId += 1;
    const child = { name, uniqueid: this.#lastChildId, fields };
    ike.children.add(child);
    return child;
  }

  #own(sa: FakeIkeSa): IkeRecord {
    for (const ike of this.#ikes) if (ike === sa) return ike;
    throw new Error(`IKE SA ${sa.name} with unique id ${sa.uniqueid} is not up`);
  }

  #ownChild(sa: FakeChildSa): { readonly ike: IkeRecord; readonly child: ChildRecord } {
    for (const ike of this.#ikes) {
      for (const child of ike.children) if (child === sa && !isDeleted(child)) return { ike, child };
    }
    throw new Error(`CHILD SA ${sa.name} with unique id ${sa.uniqueid} is not up`);
  }
}

function keyed(child: FakeChildSa, state?: string): ViciInput {
  return { [keyOf(child)]: childSection(child, state) };
}
