import { describe, expect, it } from 'vitest';
import { Repairs, type RepairInput, type RepairWishes } from '../../src/agent/repairs.ts';
import { connectionNameSchema } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { hub, mediationServer } from '../ike/connections.ts';
import { childSa, desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';

const HERE = '192.168.1.2';
const GONE = '192.168.1.9';
const secondHub = connectionNameSchema.parse('cygnet-hub-hub2');
const mesh: DesiredState = desired(medsrv(), spoke(), { ...spoke(), name: secondHub }, mediatedPeer());

const registration = ikeSa(names.medsrv, { uniqueId: 1 });
const toHub = ikeSa(names.hub, {
  uniqueId: 2,
  childSas: [childSa('edge1--a', { uniqueId: 20 }), childSa('edge1--b', { uniqueId: 21 })],
});
const toPeer = ikeSa(names.peer, { uniqueId: 3, childSas: [childSa('edge1--remote', { uniqueId: 30 })] });
const toSecondHub = ikeSa(secondHub, { uniqueId: 4, childSas: [childSa('edge1--a', { uniqueId: 40 })] });
const all = [registration, toHub, toPeer];

class Mending {
  readonly clock = new ManualClock();
  readonly repairs = new Repairs(this.clock);

  /** The machine has had this address when charon showed these IKE SAs. */
  static onNetworkOf(address: string, ikeSas: readonly IkeSa[]): Mending {
    const mending = new Mending();
    mending.decide({ ikeSas, localAddresses: new Set([HERE, address]) });
    return mending;
  }

  decide(change: Partial<RepairInput> = {}): RepairWishes {
    return this.repairs.decide({ desired: mesh, ikeSas: all, localAddresses: new Set([HERE]), trying: 0, ...change });
  }

  /** After a suspicion. */
  suspected(change: Partial<RepairInput> = {}): RepairWishes {
    this.repairs.suspectAddress();
    return this.decide(change);
  }
}

const nothing: RepairWishes = { abandon: new Set(), rekey: new Set(), renews: false, lookInMs: Infinity };
/** The registration is made anew, and the hub hears from this node. */
const renewal: RepairWishes = { ...nothing, abandon: new Set([1]), rekey: new Set([20]), renews: true };

describe('an IKE SA', () => {
  it('is left alone while this machine has its address', () => expect(new Mending().decide()).toEqual(nothing));

  it.each([
    ['registration', registration, true],
    ['tunnel to a hub', toHub, false],
    ['direct tunnel', toPeer, false],
  ])('that is bound to an address which is gone is given up: a %s', (_what, sa, renews) => {
    const ikeSas = [...all.filter((each) => each !== sa), { ...sa, localHost: GONE }];
    expect(Mending.onNetworkOf(GONE, ikeSas).decide({ ikeSas })).toEqual({
      ...nothing,
      abandon: new Set([sa.uniqueId]),
      renews,
    });
  });

  it('is given up in every round until it is gone', () => {
    const ikeSas = [{ ...toHub, localHost: GONE }];
    const mending = Mending.onNetworkOf(GONE, ikeSas);
    for (let round = 0; round < 3; round += 1) expect(mending.decide({ ikeSas }).abandon).toEqual(new Set([2]));
  });

  it.each([
    ['that answers spokes', hub(), hub().name],
    ['that answers mediation clients', mediationServer(), mediationServer().name],
    ['of somebody else', spoke(), 'office'],
  ])('%s is not, wherever it is bound to', (_what, connection, name) => {
    const ikeSas = [ikeSa(name, { uniqueId: 7, localHost: GONE })];
    const mending = Mending.onNetworkOf(GONE, ikeSas);
    expect(mending.suspected({ desired: desired(connection), ikeSas })).toEqual(nothing);
  });

  it.each(['CREATED', 'CONNECTING', 'REKEYED', 'DELETING'])(
    'that is %s is not: ending it may abort charon',
    (state) => {
      const stale = all.map((sa): IkeSa => ({ ...sa, localHost: GONE }));
      const other = ikeSa(names.hub, { uniqueId: 9, localHost: GONE });
      const ikeSas = [...stale.map((sa): IkeSa => ({ ...sa, state })), other];
      const wishes = Mending.onNetworkOf(GONE, [...stale, other]).suspected({ ikeSas });
      expect([wishes.abandon, wishes.rekey, wishes.renews]).toEqual([new Set([9]), new Set(), false]);
    },
  );
});

describe('an address that this machine never had', () => {
  it('is that of a charon elsewhere, in another network namespace perhaps: its IKE SAs are left alone', () => {
    const ikeSas = all.map((sa): IkeSa => ({ ...sa, localHost: GONE }));
    const mending = new Mending();
    for (let round = 0; round < 3; round += 1) expect(mending.decide({ ikeSas })).toEqual(nothing);
  });

  it('is one again after no IKE SA was bound to it for a while', () => {
    const ikeSas = [{ ...toHub, localHost: GONE }];
    const mending = Mending.onNetworkOf(GONE, ikeSas);
    mending.decide({ ikeSas: [] });
    expect(mending.decide({ ikeSas })).toEqual(nothing);
  });
});

describe('a suspicion that others see this node elsewhere', () => {
  it('makes the registration anew and lets the hub hear from this node by one CHILD SA', () =>
    expect(new Mending().suspected()).toEqual(renewal));

  it('does so once', () => {
    const mending = new Mending();
    mending.suspected();
    expect(mending.decide()).toEqual(nothing);
  });

  it('lets the hub hear at once, and leaves the registration while a mediation through it is open', () => {
    const mending = new Mending();
    expect(mending.suspected({ trying: 1 })).toEqual({ ...nothing, rekey: new Set([20]) });
    expect(mending.decide({ trying: 2 })).toEqual(nothing);
    expect(mending.decide()).toEqual({ ...renewal, rekey: new Set() });
    expect(mending.decide()).toEqual(nothing);
  });

  it('is put aside within five seconds of another one', () => {
    const mending = new Mending();
    mending.suspected();
    mending.clock.advance(4999);
    expect(mending.suspected()).toEqual(nothing);
    mending.clock.advance(1);
    expect(mending.decide(), 'and for good').toEqual(nothing);
    expect(mending.suspected()).toEqual(renewal);
  });

  it('that was put aside does not put off the next one', () => {
    const mending = new Mending();
    mending.suspected();
    mending.clock.advance(4000);
    mending.suspected();
    mending.clock.advance(1000);
    expect(mending.suspected()).toEqual(renewal);
  });

  it('leaves a hub in peace whose CHILD SAs are all being replaced, and asks by the first that is not', () => {
    const rekeying = {
      ...toHub,
      childSas: [childSa('edge1--a', { uniqueId: 20, state: 'REKEYED' }), toHub.childSas[1]!],
    };
    expect(new Mending().suspected({ ikeSas: [rekeying] }).rekey).toEqual(new Set([21]));
    const none = { ...toHub, childSas: [childSa('edge1--a', { state: 'CREATED' })] };
    expect(new Mending().suspected({ ikeSas: [none] }).rekey).toEqual(new Set());
  });

  it('renews nothing where nothing is registered', () =>
    expect(new Mending().suspected({ ikeSas: [toHub, toPeer] })).toEqual({ ...nothing, rekey: new Set([20]) }));
});

describe('a hub that owes an answer to a rekeying', () => {
  const owing = { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 20, state: 'REKEYING' })] };

  it('is looked at again soon', () =>
    expect(new Mending().decide({ ikeSas: [owing, toSecondHub] })).toEqual({ ...nothing, lookInMs: 250 }));

  it('is left after 0.8 s, if there is another one', () => {
    const mending = new Mending();
    mending.decide({ ikeSas: [owing, toSecondHub] });
    mending.clock.advance(799);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] }).abandon).toEqual(new Set());
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] }).abandon).toEqual(new Set([2]));
  });

  it('is not left when it is the only one, nor when the others owe one too', () => {
    const alsoOwing = { ...toSecondHub, childSas: [childSa('edge1--a', { uniqueId: 40, state: 'REKEYING' })] };
    for (const ikeSas of [[owing], [owing, alsoOwing]]) {
      const mending = new Mending();
      mending.decide({ ikeSas });
      mending.clock.advance(60_000);
      expect(mending.decide({ ikeSas }).abandon).toEqual(new Set());
    }
  });

  it('is forgiven when it has answered', () => {
    const mending = new Mending();
    mending.decide({ ikeSas: [owing, toSecondHub] });
    mending.clock.advance(700);
    expect(mending.decide({ ikeSas: [toHub, toSecondHub] })).toEqual(nothing);
    mending.clock.advance(700);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] }).abandon).toEqual(new Set());
  });
});
