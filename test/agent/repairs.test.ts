import { describe, expect, it } from 'vitest';
import type { SilentHub } from '../../src/agent/hub-repairs.ts';
import { Repairs, type RepairInput, type RepairWishes } from '../../src/agent/repairs.ts';
import { connectionNameSchema } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { hub, mediationServer } from '../ike/connections.ts';
import { childSa, desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { repairDeps } from './hub-knocks.ts';

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
  /** Whether the charons of hubs answer strangers. */
  isHubThere = true;
  readonly knocks: string[] = [];
  answers = 0;
  readonly repairs = new Repairs(
    repairDeps(this.clock, {
      knock: ({ address, port }) => {
        this.knocks.push(`${address}:${port}`);
        return Promise.resolve(this.isHubThere);
      },
      onAnswer: () => (this.answers += 1),
    }),
  );

  /** The machine has had this address when charon showed these IKE SAs. */
  static onNetworkOf(address: string, ikeSas: readonly IkeSa[], state = mesh): Mending {
    const mending = new Mending();
    mending.decide({ desired: state, ikeSas, localAddresses: new Set([HERE, address]) });
    return mending;
  }

  /** The machine has had this address when charon showed these IKE SAs, and has not had it for three seconds. */
  static withoutAddress(address: string, ikeSas: readonly IkeSa[], state = mesh): Mending {
    const mending = Mending.onNetworkOf(address, ikeSas, state);
    mending.decide({ desired: state, ikeSas });
    mending.clock.advance(3000);
    return mending;
  }

  decide(change: Partial<RepairInput> = {}): RepairWishes {
    const usual = {
      localAddresses: new Set([HERE]),
      trying: 0,
      outliveCharon: true,
      silentHubs: new Map<number, SilentHub>(),
      heardAtMs: undefined,
    };
    return this.repairs.decide({ desired: mesh, ikeSas: all, ...usual, ...change });
  }

  /** After a suspicion. */
  suspected(change: Partial<RepairInput> = {}): RepairWishes {
    this.repairs.suspectAddress();
    return this.decide(change);
  }
}

/** Nothing that is sent through it comes back. */
class LosingHub implements SilentHub {
  readonly peers = 2;
  readonly #clock: ManualClock;
  readonly #askedAtMs: number[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  ask(): void {
    this.#askedAtMs.push(this.#clock.monotonicMs());
  }

  lostSince(atMs: number): number {
    const nowMs = this.#clock.monotonicMs();
    return this.#askedAtMs.filter((sentMs) => sentMs >= atMs && nowMs - sentMs >= 250).length;
  }
}

const nothing: RepairWishes = { abandon: new Set(), rekey: new Set(), renews: false, lookInMs: Infinity };
/** The hub hears from this node, and is looked at again soon for its answer. */
const greeting: RepairWishes = { ...nothing, rekey: new Set([20]), lookInMs: 250 };
/** The registration is made anew, and the hub hears from this node. */
const renewal: RepairWishes = { ...greeting, abandon: new Set([1]), renews: true };
/** What charon shows when the hub has answered: the CHILD SA is another one. */
const answered = [registration, { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 22 })] }, toPeer];

describe('an IKE SA', () => {
  it('is left alone while this machine has its address', () => expect(new Mending().decide()).toEqual(nothing));

  it.each([
    ['registration', registration, true],
    ['tunnel to a hub', toHub, false],
    ['direct tunnel', toPeer, false],
  ])('that is bound to an address which is gone is given up: a %s', (_what, sa, renews) => {
    const ikeSas = [...all.filter((each) => each !== sa), { ...sa, localHost: GONE }];
    const wishes = Mending.withoutAddress(GONE, ikeSas).decide({ ikeSas });
    expect([wishes.abandon, wishes.rekey, wishes.renews]).toEqual([new Set([sa.uniqueId]), new Set(), renews]);
  });

  it('is given up when its address has been gone for three seconds: a cable may be loose for a moment', () => {
    const ikeSas = [{ ...toHub, localHost: GONE }];
    const mending = Mending.onNetworkOf(GONE, ikeSas);
    mending.clock.advance(60_000);
    expect(mending.decide({ ikeSas })).toEqual({ ...nothing, lookInMs: 3000 });
    mending.clock.advance(2999);
    expect(mending.decide({ ikeSas })).toEqual({ ...nothing, lookInMs: 1 });
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas }).abandon).toEqual(new Set([2]));
  });

  it('is left alone when its address comes back in between, and then has three seconds again', () => {
    const ikeSas = [{ ...toHub, localHost: GONE }];
    const mending = Mending.onNetworkOf(GONE, ikeSas);
    mending.decide({ ikeSas });
    mending.clock.advance(2900);
    expect(mending.decide({ ikeSas, localAddresses: new Set([GONE]) })).toEqual(nothing);
    mending.clock.advance(2900);
    expect(mending.decide({ ikeSas })).toEqual({ ...nothing, lookInMs: 3000 });
    mending.clock.advance(2999);
    expect(mending.decide({ ikeSas }).abandon).toEqual(new Set());
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas }).abandon).toEqual(new Set([2]));
  });

  it('is given up in every round until it is gone', () => {
    const ikeSas = [{ ...toHub, localHost: GONE }];
    const mending = Mending.withoutAddress(GONE, ikeSas);
    for (let round = 0; round < 3; round += 1) expect(mending.decide({ ikeSas }).abandon).toEqual(new Set([2]));
  });

  it.each([
    ['that answers spokes', hub(), hub().name],
    ['that answers mediation clients', mediationServer(), mediationServer().name],
    ['of somebody else', spoke(), 'office'],
  ])('%s is not, wherever it is bound to', (_what, connection, name) => {
    const ikeSas = [ikeSa(name, { uniqueId: 7, localHost: GONE })];
    const state = desired(connection);
    const wishes = Mending.withoutAddress(GONE, ikeSas, state).suspected({ desired: state, ikeSas });
    expect([wishes.abandon, wishes.rekey]).toEqual([new Set(), new Set()]);
  });

  it.each(['CREATED', 'CONNECTING', 'REKEYED', 'DELETING'])(
    'that is %s is not: ending it may abort charon',
    (state) => {
      const stale = all.map((sa): IkeSa => ({ ...sa, localHost: GONE }));
      const other = ikeSa(names.hub, { uniqueId: 9, localHost: GONE });
      const ikeSas = [...stale.map((sa): IkeSa => ({ ...sa, state })), other];
      const mending = Mending.withoutAddress(GONE, [...stale, other]);
      const wishes = mending.decide({ ikeSas });
      expect([wishes.abandon, wishes.rekey, wishes.renews]).toEqual([new Set([9]), new Set(), false]);
      const suspicious = mending.suspected({ ikeSas });
      expect([suspicious.abandon, suspicious.rekey]).toEqual([new Set([9]), new Set()]);
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
    for (let round = 0; round < 3; round += 1) {
      expect(mending.decide({ ikeSas })).toEqual(nothing);
      mending.clock.advance(3000);
    }
  });
});

describe('a suspicion that others see this node elsewhere', () => {
  it('makes the registration anew and lets the hub hear from this node by one CHILD SA', () =>
    expect(new Mending().suspected()).toEqual(renewal));

  it('is what another network is', () => {
    const mending = new Mending();
    mending.repairs.networkChanged();
    expect(mending.decide()).toEqual(renewal);
  });

  it('is looked at again when the registration may be made anew, also after the hub has heard of it', () => {
    const mending = new Mending();
    mending.suspected({ trying: 1 });
    mending.clock.advance(5000);
    mending.decide({ ikeSas: answered });
    mending.clock.advance(1000);
    expect(mending.suspected({ ikeSas: answered }).rekey).toEqual(new Set([22]));
    const answeredAgain = [registration, { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 23 })] }];
    expect(mending.decide({ ikeSas: answeredAgain })).toEqual({ ...nothing, renews: true, lookInMs: 4000 });
  });

  it('does so once', () => {
    const mending = new Mending();
    mending.suspected();
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
    mending.clock.advance(60_000);
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
  });

  it('lets the hub hear at once, and leaves the registration while a mediation through it is open', () => {
    const mending = new Mending();
    expect(mending.suspected({ trying: 1 })).toEqual({ ...greeting, renews: true });
    mending.clock.advance(5000);
    const open = mending.decide({ ikeSas: answered, trying: 2 });
    expect([open.abandon, open.rekey, open.renews]).toEqual([new Set(), new Set(), true]);
    expect(mending.decide({ ikeSas: answered })).toEqual({ ...nothing, abandon: new Set([1]), renews: true });
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
  });

  it('leaves the registration also while charon has a mediation in it that was given up here', () => {
    const mending = new Mending();
    const busy = [{ ...registration, isMediating: true }, toHub];
    expect(mending.suspected({ ikeSas: busy })).toMatchObject({ abandon: new Set(), renews: true });
    expect(mending.decide()).toMatchObject({ abandon: new Set([registration.uniqueId]), renews: true });
  });

  it('lets nothing be set up through a registration from the moment that it is to be renewed until it is', () => {
    const mending = new Mending();
    const renewsOf = (change: Partial<RepairInput>): boolean => mending.decide({ ikeSas: answered, ...change }).renews;
    expect(renewsOf({ trying: 1 })).toBe(false);
    mending.repairs.suspectAddress();
    for (let round = 0; round < 10; round += 1) {
      expect(renewsOf({ trying: 1 })).toBe(true);
      mending.clock.advance(1000);
    }
    expect(mending.decide({ ikeSas: answered })).toMatchObject({ abandon: new Set([1]), renews: true });
    expect(renewsOf({})).toBe(false);
  });

  it('waits within five seconds of the last repair, and is not lost', () => {
    const mending = new Mending();
    mending.suspected();
    mending.clock.advance(4000);
    expect(mending.suspected({ ikeSas: answered })).toEqual({ ...nothing, renews: true, lookInMs: 1000 });
    mending.clock.advance(999);
    expect(mending.decide({ ikeSas: answered })).toEqual({ ...nothing, renews: true, lookInMs: 1 });
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas: answered })).toEqual({ ...renewal, rekey: new Set([22]) });
    mending.clock.advance(60_000);
    expect(mending.decide(), 'and comes once').toEqual(nothing);
  });

  it('that comes again while another one waits makes no second repair', () => {
    const mending = new Mending();
    mending.suspected();
    mending.clock.advance(1000);
    for (let round = 0; round < 4; round += 1) {
      expect(mending.suspected({ ikeSas: answered }).abandon).toEqual(new Set());
      mending.clock.advance(1000);
    }
    expect(mending.decide({ ikeSas: answered }).abandon).toEqual(new Set([1]));
    mending.clock.advance(5000);
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
  });

  /** How often the registration is made anew and the hub greeted within ten minutes, in each second of which there is a suspicion. */
  function repairsInTenMinutes(mending: Mending, heard: (nowMs: number) => number | undefined): [number, number] {
    let [renewals, greetings] = [0, 0];
    for (let second = 0; second < 600; second += 1) {
      const heardAtMs = heard(mending.clock.monotonicMs());
      const { abandon, rekey } = mending.suspected({ ikeSas: answered, heardAtMs });
      renewals += abandon.size;
      greetings += rekey.size;
      mending.clock.advance(1000);
    }
    return [renewals, greetings];
  }

  it('that comes again and again is followed more and more seldom while nothing comes through', () => {
    const mending = new Mending();
    for (const repairs of repairsInTenMinutes(mending, () => undefined)) expect(repairs).toBeLessThan(20);
    const later = repairsInTenMinutes(mending, () => 0);
    for (const repairs of later) expect(repairs, 'nor has what came before helped').toBeLessThan(12);
  });

  /** A suspicion each second has been followed in vain so often that the next repair is more than 20 s away. */
  function inVain(): Mending {
    const mending = new Mending();
    for (let second = 0; second < 600; second += 1) {
      mending.suspected({ ikeSas: answered });
      mending.clock.advance(1000);
      if (mending.suspected({ ikeSas: answered }).lookInMs >= 20_000) return mending;
    }
    return expect.fail('the repairs come at no longer intervals');
  }

  it('waits for the end of the back-off, and keeps nobody from setting up paths before its last seconds', () => {
    const mending = inVain();
    const { lookInMs: waitMs, ...wishes } = mending.suspected({ ikeSas: answered });
    expect([waitMs > 20_000, wishes.abandon.size, wishes.rekey.size, wishes.renews]).toEqual([true, 0, 0, false]);
    mending.clock.advance(waitMs - 5001);
    expect(mending.decide({ ikeSas: answered }).renews).toBe(false);
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas: answered })).toEqual({ ...nothing, renews: true, lookInMs: 5000 });
  });

  it('does not wait for it on another network', () => {
    const mending = inVain();
    mending.clock.advance(5000);
    mending.repairs.networkChanged();
    expect(mending.decide({ ikeSas: answered })).toEqual({ ...renewal, rekey: new Set([22]) });
  });

  it('is followed every five seconds when something has come through since the last repair', () =>
    expect(repairsInTenMinutes(new Mending(), (nowMs) => nowMs)).toEqual([120, 120]));

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
    expect(new Mending().suspected({ ikeSas: [toHub, toPeer] })).toEqual({ ...renewal, abandon: new Set() }));
});

describe('a registration that was lost', () => {
  const anew = { ...registration, uniqueId: 9 };
  const rekeys = ({ rekey }: RepairWishes): number[] => [...rekey];

  it('has the hubs asked when it is there again: it may have gone with their charon', () => {
    const mending = new Mending();
    expect(rekeys(mending.decide())).toEqual([]);
    expect(rekeys(mending.decide({ ikeSas: [toHub] }))).toEqual([]);
    expect(rekeys(mending.decide({ ikeSas: [anew, toHub] }))).toEqual([20]);
    mending.clock.advance(60_000);
    expect(rekeys(mending.decide({ ikeSas: [anew, toHub] })), 'once').toEqual([]);
  });

  it('tells nothing of them where their packets end with their charon: silence does', () => {
    const mending = new Mending();
    const usual = { outliveCharon: false };
    mending.decide(usual);
    mending.decide({ ...usual, ikeSas: [toHub] });
    expect(rekeys(mending.decide({ ...usual, ikeSas: [anew, toHub] }))).toEqual([]);
  });

  it('tells nothing of them when this node has ended it itself', () => {
    const mending = Mending.withoutAddress(GONE, [{ ...registration, localHost: GONE }]);
    const moved = { ...registration, localHost: GONE };
    expect(mending.decide({ ikeSas: [moved, toHub] }).abandon).toEqual(new Set([1]));
    expect(rekeys(mending.decide({ ikeSas: [toHub] }))).toEqual([]);
    expect(rekeys(mending.decide({ ikeSas: [anew, toHub] }))).toEqual([]);
  });
});

describe('a hub that was greeted by a rekeying', () => {
  const owing = { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 20, state: 'REKEYING' })] };
  const secondOwing = { ...toSecondHub, childSas: [childSa('edge1--a', { uniqueId: 40, state: 'REKEYING' })] };
  const secondEmpty = { ...toSecondHub, childSas: [childSa('edge1--a', { uniqueId: 41, state: 'CREATED' })] };
  const hubs = [toHub, toSecondHub];

  function greeted(ikeSas: readonly IkeSa[] = hubs): Mending {
    const mending = new Mending();
    mending.suspected({ ikeSas });
    return mending;
  }

  it('is looked at again soon, until it has answered', () => {
    const mending = greeted();
    expect(mending.decide({ ikeSas: [owing, toSecondHub] })).toEqual({ ...nothing, lookInMs: 250 });
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
  });

  it('is left after 0.8 s without an answer, if there is another one', () => {
    const mending = greeted();
    mending.clock.advance(799);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] }).abandon).toEqual(new Set());
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] }).abandon).toEqual(new Set([2]));
  });

  it('is not left when something has come through it since, by any CHILD SA: one lost datagram says nothing', () => {
    const carried = [owing.childSas[0]!, childSa('edge1--b', { uniqueId: 21, packetsIn: 8 })];
    const before = { ...toHub, childSas: [toHub.childSas[0]!, { ...carried[1]!, packetsIn: 7 }] };
    const mending = greeted([before, toSecondHub]);
    const abandonedWith = (packetsIn: number): ReadonlySet<number> => {
      const childSas = [carried[0]!, { ...carried[1]!, packetsIn }];
      return mending.decide({ ikeSas: [{ ...toHub, childSas }, toSecondHub] }).abandon;
    };
    mending.clock.advance(800);
    expect([abandonedWith(8), abandonedWith(7)]).toEqual([new Set(), new Set([2])]);
  });

  it('for its silence is left when four packets through it were lost as well', () => {
    const mending = new Mending();
    const silentHubs = new Map([[2, new LosingHub(mending.clock)]]);
    mending.decide({ silentHubs, ikeSas: hubs });
    const abandonedAfter = (ms: number): ReadonlySet<number> => {
      mending.clock.advance(ms);
      return mending.decide({ silentHubs, ikeSas: [owing, toSecondHub] }).abandon;
    };
    for (const ms of [250, 250, 499]) expect(abandonedAfter(ms)).toEqual(new Set());
    expect(abandonedAfter(250)).toEqual(new Set([2]));
  });

  it.each<[string, readonly IkeSa[], readonly IkeSa[]]>([
    ['it is the only one', [toHub], [owing]],
    ['the others owe one too', hubs, [owing, secondOwing]],
    ['the other one carries nothing', hubs, [owing, secondEmpty]],
    ['the other one is not established', hubs, [owing, { ...toSecondHub, state: 'CONNECTING' }]],
  ])('is not left when %s', (_what, before, ikeSas) => {
    const mending = greeted(before);
    for (const ms of [0, 800, 1000, 3000, 60_000]) {
      mending.clock.advance(ms);
      expect(mending.decide({ ikeSas }).abandon).toEqual(new Set());
    }
  });

  it('is never left for an ordinary rekeying, nor for that of another CHILD SA', () => {
    const mending = new Mending();
    for (const ms of [0, 800, 60_000]) {
      mending.clock.advance(ms);
      expect(mending.decide({ ikeSas: [owing, toSecondHub] })).toEqual(nothing);
    }
    const other = { ...toHub, childSas: [childSa('edge1--b', { uniqueId: 21, state: 'REKEYING' })] };
    const greetedOther = greeted();
    greetedOther.clock.advance(800);
    expect(greetedOther.decide({ ikeSas: [other, toSecondHub] }).abandon).toEqual(new Set());
  });

  it('is forgiven when it has answered, also in a rekeying that comes later', () => {
    const mending = greeted();
    mending.decide({ ikeSas: [owing, toSecondHub] });
    mending.clock.advance(700);
    const rekeyed = { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 22 })] };
    mending.decide({ ikeSas: [rekeyed, toSecondHub] });
    mending.clock.advance(700);
    const later = { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 22, state: 'REKEYING' })] };
    expect(mending.decide({ ikeSas: [later, toSecondHub] }).abandon).toEqual(new Set());
  });

  it('is forgiven when charon has not begun the rekeying after five seconds: a later one is another', () => {
    const mending = greeted();
    mending.clock.advance(4999);
    expect(mending.decide({ ikeSas: hubs }).lookInMs).toBe(250);
    mending.clock.advance(1);
    expect(mending.decide({ ikeSas: hubs })).toEqual(nothing);
    mending.clock.advance(1000);
    expect(mending.decide({ ikeSas: [owing, toSecondHub] })).toEqual(nothing);
  });
});

describe('a hub through which nothing comes any more', () => {
  const open = { ...toHub, childSas: [childSa('edge1--a', { uniqueId: 20, state: 'REKEYING' }), toHub.childSas[1]!] };
  const silentHubs = new Map<number, SilentHub>([[2, { peers: 2, ask: () => undefined, lostSince: () => 4 }]]);

  /** The promises of this turn. */
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  /** It has been greeted for its silence, charon waits for the answer, and the hub has been knocked at. */
  async function knockedAt(isHubThere: boolean): Promise<Mending> {
    const mending = new Mending();
    mending.isHubThere = isHubThere;
    expect(mending.decide({ silentHubs })).toEqual(greeting);
    mending.clock.advance(250);
    expect(mending.decide({ silentHubs, ikeSas: [registration, open, toPeer] })).toEqual({ ...nothing, lookInMs: 250 });
    await turn();
    return mending;
  }

  const abandonedAfter = (mending: Mending, ms: number, change: Partial<RepairInput> = {}): ReadonlySet<number> => {
    mending.clock.advance(ms);
    return mending.decide({ silentHubs, ikeSas: [registration, open, toPeer], ...change }).abandon;
  };

  it('is given up when it answers strangers, and not its IKE SA for 1.5 s: it has started anew', async () => {
    const mending = await knockedAt(true);
    expect([mending.knocks, mending.answers]).toEqual([[`${open.remoteHost}:${open.remotePort}`], 1]);
    expect(abandonedAfter(mending, 1499)).toEqual(new Set());
    const elsewhere = { ...registration, remoteHost: '203.0.113.77' };
    expect(abandonedAfter(mending, 1, { ikeSas: [elsewhere, open, toPeer] })).toEqual(new Set([2]));
    expect(mending.knocks).toHaveLength(1);
  });

  it('takes the registration at the same charon along, and nothing is set up through that', async () => {
    const mending = await knockedAt(true);
    mending.clock.advance(1500);
    const wishes = mending.decide({ silentHubs, ikeSas: [registration, open, toPeer] });
    expect(wishes).toEqual({ ...nothing, abandon: new Set([1, 2]), renews: true, lookInMs: 250 });
  });

  it('takes the registration along as well where it is left for another one in the same round', async () => {
    const mending = new Mending();
    mending.decide({ silentHubs, ikeSas: [registration, toHub, toSecondHub] });
    mending.decide({ silentHubs, ikeSas: [registration, open, toSecondHub] });
    await turn();
    const wishes = { ikeSas: [registration, open, toSecondHub] };
    expect(abandonedAfter(mending, 1500, wishes)).toEqual(new Set([1, 2]));
  });

  it('with one peer behind it has until charon has sent the rekeying again: it may be the peer that is down', async () => {
    const onePeer = new Map([[2, { peers: 1, ask: () => undefined, lostSince: () => 4 }]]);
    const mending = await knockedAt(true);
    expect(abandonedAfter(mending, 2999, { silentHubs: onePeer })).toEqual(new Set());
    expect(abandonedAfter(mending, 0, { silentHubs: onePeer, ikeSas: answered })).toEqual(new Set());
    const mute = await knockedAt(true);
    expect(abandonedAfter(mute, 3000, { silentHubs: onePeer })).toEqual(new Set([1, 2]));
  });

  it('is given up by each of its nodes at a moment of its own', async () => {
    const clock = new ManualClock();
    const repairs = new Repairs(repairDeps(clock, { random: () => 0.5 }));
    const common = { trying: 0, outliveCharon: true, heardAtMs: undefined };
    const usual = { desired: mesh, localAddresses: new Set([HERE]), silentHubs, ...common };
    repairs.decide({ ...usual, ikeSas: [toHub] });
    repairs.decide({ ...usual, ikeSas: [open] });
    await turn();
    clock.advance(2249);
    expect(repairs.decide({ ...usual, ikeSas: [open] }).abandon).toEqual(new Set());
    clock.advance(1);
    expect(repairs.decide({ ...usual, ikeSas: [open] }).abandon).toEqual(new Set([2]));
  });

  it('is left alone while it does not answer strangers either, and is knocked at until it does', async () => {
    const mending = await knockedAt(false);
    for (let ms = 0; ms < 12_000; ms += 500) {
      expect(abandonedAfter(mending, 500)).toEqual(new Set());
      await turn();
    }
    expect(mending.knocks.length).toBe(5);
    mending.isHubThere = true;
    abandonedAfter(mending, 500);
    await turn();
    expect(abandonedAfter(mending, 1400)).toEqual(new Set());
    expect(abandonedAfter(mending, 100)).toEqual(new Set([1, 2]));
  });

  it('is given up only when four packets were lost in its tunnels since it answered strangers, whatever was before', async () => {
    const mending = new Mending();
    mending.isHubThere = false;
    const losing = new Map([[2, new LosingHub(mending.clock)]]);
    const abandoned = async (ms: number): Promise<number> => {
      mending.clock.advance(ms);
      const { abandon } = mending.decide({ silentHubs: losing, ikeSas: [registration, open, toPeer] });
      await turn();
      return abandon.size;
    };
    mending.decide({ silentHubs: losing });
    for (let second = 0; second < 90; second += 1) expect(await abandoned(1000)).toBe(0);
    mending.isHubThere = true;
    for (let second = 0; mending.answers === 0; second += 1) expect(await abandoned(1000)).toBe(0);
    // This node was held up for long: what it has not sent has not been lost.
    for (const ms of [60_000, 250, 250]) expect(await abandoned(ms)).toBe(0);
    expect(await abandoned(250)).toBe(2);
  });

  it('is asked through in each round while its greeting is open, at first and after it has answered four times a second', async () => {
    const mending = new Mending();
    mending.isHubThere = false;
    let asked = 0;
    const silent = new Map([[2, { peers: 2, ask: () => void (asked += 1), lostSince: () => 0 }]]);
    const lookInMs = async (ms: number, ikeSas: readonly IkeSa[]): Promise<number> => {
      mending.clock.advance(ms);
      const wishes = mending.decide({ silentHubs: silent, ikeSas });
      await turn();
      return wishes.lookInMs;
    };
    const waiting = [registration, open, toPeer];
    expect([await lookInMs(0, all), await lookInMs(250, waiting), await lookInMs(60_000, waiting)]).toEqual([
      250, 250, 1000,
    ]);
    mending.isHubThere = true;
    await lookInMs(2500, waiting);
    expect([await lookInMs(20, waiting), asked]).toEqual([250, 5]);
    await lookInMs(60_000, waiting);
    expect([mending.knocks.length, asked], 'and knocked at no more').toEqual([3, 6]);
    await lookInMs(0, answered);
    expect(asked, 'when it is open no more').toBe(6);
  });

  it('is never given up when something has come through it since: it is only a peer that does not answer', async () => {
    const mending = await knockedAt(true);
    const childSas = [open.childSas[0]!, { ...open.childSas[1]!, packetsIn: 1 }];
    for (const ms of [1500, 1500, 60_000]) {
      const ikeSas = [registration, { ...open, childSas }, toPeer];
      expect(abandonedAfter(mending, ms, { ikeSas })).toEqual(new Set());
    }
  });

  it.each<[string, Partial<RepairInput>]>([
    ['something comes through it', { silentHubs: new Map() }],
    ['it has answered the rekeying', { ikeSas: answered }],
    ['charon has not sent the rekeying yet', { ikeSas: all }],
    ['it is being deleted', { ikeSas: [{ ...open, state: 'DELETING' }] }],
  ])('is left alone when %s', async (_what, change) => {
    const mending = await knockedAt(true);
    for (const ms of [1500, 1500, 60_000]) expect(abandonedAfter(mending, ms, change)).toEqual(new Set());
  });

  it('is greeted once in a silence, and in another one again', () => {
    const mending = new Mending();
    expect(mending.decide({ silentHubs }).rekey).toEqual(new Set([20]));
    mending.clock.advance(60_000);
    expect(mending.decide({ silentHubs, ikeSas: answered })).toEqual(nothing);
    expect(mending.decide({ ikeSas: answered })).toEqual(nothing);
    expect(mending.decide({ silentHubs, ikeSas: answered }).rekey).toEqual(new Set([22]));
  });

  it('is greeted when the time has come, if it falls silent soon after a repair', () => {
    const mending = new Mending();
    mending.suspected();
    mending.clock.advance(4000);
    expect(mending.decide({ silentHubs, ikeSas: answered })).toEqual({ ...nothing, lookInMs: 1000 });
    mending.clock.advance(1000);
    expect(mending.decide({ silentHubs, ikeSas: answered }).rekey).toEqual(new Set([22]));
  });
});
