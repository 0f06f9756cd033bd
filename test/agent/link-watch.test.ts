import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LinkWatch } from '../../src/agent/link-watch.ts';
import { systemClock } from '../../src/clock.ts';
import { childNameSchema, linkIdSchema } from '../../src/ike/connection.ts';
import type { DesiredLink, DesiredState, MeshAddressPair } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { childSa, desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { eventually } from '../vici/eventually.ts';
import { loopbackAddress, openSockets, peerAt, UdpPeer } from './udp-peer.ts';

const OWN: MeshAddressPair = { mesh: loopbackAddress(2), relay: loopbackAddress(3) };
const PEER: MeshAddressPair = { mesh: loopbackAddress(4), relay: loopbackAddress(5) };
const LINK = 'edge1--remote';
const SPI = '00000000000000aa';

/** edge1's mesh with these mesh addresses, which may be none. */
function meshWith(own: MeshAddressPair | undefined, peer: MeshAddressPair | undefined): DesiredState {
  const state = desired(medsrv(), spoke(), mediatedPeer());
  return {
    ...state,
    ...(own !== undefined && { addresses: own }),
    links: state.links.map((link) => ({ ...link, ...(peer !== undefined && { peerAddresses: peer }) })),
  };
}

const mesh = meshWith(OWN, PEER);
const link = mesh.links[0]!;
const carrying = (name: string, uniqueId: number, change: Partial<ReturnType<typeof childSa>> = {}): IkeSa =>
  ikeSa(name, { uniqueId, childSas: [childSa(LINK, change)] });
const direct = { ...carrying(names.peer, 3), initiatorSpi: SPI };
const relay = carrying(names.hub, 2);

class Watching {
  changes = 0;
  readonly watch: LinkWatch;

  constructor(clock: Pick<typeof systemClock, 'nowMs' | 'monotonicMs'> = systemClock) {
    this.watch = new LinkWatch({ clock, random: () => 0.5, onChange: () => (this.changes += 1) });
    onTestFinished(() => this.watch[Symbol.asyncDispose]());
  }

  healthOf(path: 'direct' | 'relay'): string | undefined {
    return this.watch.reading(LINK, path)?.health;
  }
}

describe('a link is probed', () => {
  it('through each tunnel that is installed, between the addresses that lead through it', async () => {
    const [atMesh, atRelay] = [await peerAt(PEER.mesh), await peerAt(PEER.relay)];
    for (const peer of [atMesh, atRelay]) peer.answerWhen();
    const watching = new Watching();
    watching.watch.look(mesh, [direct, relay]);
    await eventually(() =>
      expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['alive', 'alive']),
    );
    expect(atMesh.received.map(({ from }) => from.address)).toContain(OWN.mesh);
    expect(atRelay.received.map(({ from }) => from.address)).toContain(OWN.relay);
    expect(watching.changes).toBeGreaterThan(0);
  });

  it.each(['INSTALLED', 'REKEYING', 'REKEYED'])('through a CHILD SA that is %s', (state) => {
    const watching = new Watching();
    watching.watch.look(mesh, [carrying(names.peer, 3, { state })]);
    expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['unknown', undefined]);
  });

  it.each<[string, DesiredState, readonly IkeSa[]]>([
    ['without a tunnel', mesh, []],
    ['while its tunnel is being set up', mesh, [carrying(names.peer, 3, { state: 'CREATED' })]],
    ['through the tunnel of another link', mesh, [ikeSa(names.peer, { childSas: [childSa('edge1--other')] })]],
    ['without mesh addresses', meshWith(undefined, undefined), [direct, relay]],
    ['without an address of its own', meshWith(undefined, PEER), [direct, relay]],
    ['whose peer has no address', meshWith(OWN, undefined), [direct, relay]],
  ])('not %s', (_what, state, ikeSas) => {
    const watching = new Watching();
    watching.watch.look(state, ikeSas);
    expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual([undefined, undefined]);
    expect(watching.watch.isSilent(state.links[0]!, ikeSas)).toBe(false);
  });

  it('no longer when its tunnel is gone, and anew through another one', async () => {
    const peer = await peerAt(PEER.mesh);
    peer.answerWhen();
    const watching = new Watching();
    watching.watch.look(mesh, [direct]);
    await eventually(() => expect(watching.healthOf('direct')).toBe('alive'));
    watching.watch.look(mesh, [{ ...direct, uniqueId: 9 }]);
    expect(watching.healthOf('direct')).toBe('unknown');
    watching.watch.look(mesh, []);
    expect(watching.healthOf('direct')).toBeUndefined();
  });

  it('on the same sockets, however often charon is looked at', async () => {
    const peer = await peerAt(PEER.mesh);
    peer.answerWhen();
    const watching = new Watching();
    for (let round = 0; round < 1000; round += 1) watching.watch.look(mesh, [direct, relay]);
    await eventually(() => expect(watching.healthOf('direct')).toBe('alive'));
    // The peer, two that answer, two that ask.
    expect(openSockets()).toBe(5);
    await watching.watch[Symbol.asyncDispose]();
    await eventually(() => expect(openSockets()).toBe(1));
  });

  it('and answers its peer, and nobody else’s', async () => {
    const peer = await peerAt(PEER.mesh);
    const watching = new Watching();
    watching.watch.look(mesh, []);
    await eventually(() => {
      peer.send({ type: 'ask', sender: 1, sequence: 1 }, { address: OWN.mesh });
      expect(peer.probes).toContainEqual({ type: 'answer', sender: 1, sequence: 1 });
    });
    expect(watching.watch.problem).toBeNull();
  });

  it('and by hand: one packet through each path', async () => {
    const peer = await peerAt(PEER.mesh);
    peer.answerWhen();
    const watching = new Watching();
    watching.watch.look(mesh, [direct, relay]);
    const answers = await watching.watch.ping(LINK);
    expect(answers).toEqual({
      direct: { outcome: 'answered', rttMs: expect.any(Number) as number },
      relay: { outcome: 'refused' },
    });
    watching.watch.look(mesh, []);
    expect(await watching.watch.ping(LINK)).toEqual({ direct: { outcome: 'not-up' }, relay: { outcome: 'not-up' } });
  });
});

describe('a direct tunnel that the peer has given up', () => {
  /** The other end of the link. */
  function remoteEnd(): LinkWatch {
    const { watch } = new Watching();
    watch.look(meshWith(PEER, OWN), []);
    return watch;
  }
  const remoteLink = meshWith(PEER, OWN).links[0]!;
  const other = { ...direct, uniqueId: 4, initiatorSpi: '00000000000000bb' };

  it('is silent as soon as the peer says so, which is told', async () => {
    const [watching, remote] = [new Watching(), remoteEnd()];
    watching.watch.look(mesh, [direct, relay]);
    expect(watching.watch.isSilent(link, [direct])).toBe(false);
    await eventually(() => {
      remote.tellLost(PEER, remoteLink, [direct]);
      expect(watching.watch.isSilent(link, [direct])).toBe(true);
    });
    expect(watching.changes).toBeGreaterThan(0);
    expect(watching.watch.isSilent(link, [direct, other]), 'with another IKE SA beside it').toBe(false);
    expect(watching.watch.isSilent(link, [other]), 'with another IKE SA in its place').toBe(false);
    expect(watching.watch.isSilent(link, []), 'with none').toBe(false);
  });

  it('is silent with all its IKE SAs when the peer names them all', async () => {
    const [watching, remote] = [new Watching(), remoteEnd()];
    watching.watch.look(mesh, [direct, other, relay]);
    await eventually(() => {
      remote.tellLost(PEER, remoteLink, [direct, other]);
      expect(watching.watch.isSilent(link, [direct, other])).toBe(true);
    });
  });

  /** Says so from one address to another until it must have arrived: both answer a question after it. */
  async function told(from: string, to: string, spi = SPI): Promise<void> {
    await using peer = await UdpPeer.open(from);
    let sequence = 0;
    await eventually(() => {
      sequence += 1;
      peer.send({ type: 'lost', initiatorSpi: spi }, { address: to });
      peer.send({ type: 'ask', sender: 1, sequence }, { address: to });
      expect(peer.probes.length).toBeGreaterThan(2);
    });
  }

  it('is so by the peer’s word through the relay', async () => {
    const watching = new Watching();
    watching.watch.look(mesh, [direct, relay]);
    await told(PEER.relay, OWN.relay);
    expect(watching.watch.isSilent(link, [direct])).toBe(true);
  });

  const foreign = ikeSa('office', { uniqueId: 8, initiatorSpi: '00000000000000cc', childSas: [childSa(LINK)] });
  it.each<[string, readonly IkeSa[], string, string, string]>([
    ['that comes to the mesh address', [direct, relay], PEER.relay, OWN.mesh, SPI],
    ['that comes from the peer’s mesh address', [direct, relay], PEER.mesh, OWN.relay, SPI],
    ['while no relay is installed', [direct], PEER.relay, OWN.relay, SPI],
    ['while the relay is being deleted', [direct, { ...relay, state: 'DELETING' }], PEER.relay, OWN.relay, SPI],
    ['of an IKE SA that is not there', [direct, relay], PEER.relay, OWN.relay, other.initiatorSpi],
    ['of the relay’s own IKE SA', [direct, relay], PEER.relay, OWN.relay, relay.initiatorSpi],
    ['of an IKE SA of something else', [direct, relay, foreign], PEER.relay, OWN.relay, foreign.initiatorSpi],
    [
      'of an IKE SA whose CHILD SA is not installed',
      [{ ...direct, childSas: [childSa(LINK, { state: 'CREATED' })] }, relay],
      PEER.relay,
      OWN.relay,
      SPI,
    ],
  ])('is not so by a word %s', async (_what, ikeSas, from, to, spi) => {
    const watching = new Watching();
    watching.watch.look(mesh, ikeSas);
    await told(from, to, spi);
    expect(watching.watch.isSilent(link, [{ ...direct, initiatorSpi: spi }])).toBe(false);
  });

  it('is not so by the word of another peer', async () => {
    const third: MeshAddressPair = { mesh: loopbackAddress(6), relay: loopbackAddress(7) };
    const thirdChild = childNameSchema.parse('edge1--third');
    const toThird = {
      ...link,
      id: linkIdSchema.parse('edge1--third'),
      peerAddresses: third,
      direct: [],
      relay: [{ connection: names.hub, child: thirdChild }],
    };
    const watching = new Watching();
    const hub = { ...relay, childSas: [...relay.childSas, childSa(thirdChild)] };
    watching.watch.look({ ...mesh, links: [...mesh.links, toThird] }, [direct, hub]);
    await told(third.relay, OWN.relay);
    expect(watching.watch.isSilent(link, [direct])).toBe(false);
  });

  it('is told once, however often the peer says so', async () => {
    const watching = new Watching(new ManualClock());
    // Its peer refuses each probe, so that nothing else changes.
    watching.watch.look(mesh, [direct, relay]);
    await eventually(() =>
      expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['alive', 'alive']),
    );
    const before = watching.changes;
    await told(PEER.relay, OWN.relay);
    expect(watching.changes).toBe(before + 1);
    await told(PEER.relay, OWN.relay);
    watching.watch.look(mesh, [direct, relay]);
    await told(PEER.relay, OWN.relay);
    expect(watching.changes).toBe(before + 1);
    expect(watching.watch.isSilent(link, [direct])).toBe(true);
  });

  it('is forgotten with its IKE SA', async () => {
    const watching = new Watching();
    watching.watch.look(mesh, [direct, relay]);
    await told(PEER.relay, OWN.relay);
    expect(watching.watch.isSilent(link, [direct])).toBe(true);
    watching.watch.look(mesh, [{ ...direct, childSas: [] }, relay]);
    expect(watching.watch.isSilent(link, [direct]), 'while it is there').toBe(true);
    watching.watch.look(mesh, [relay]);
    watching.watch.look(mesh, [direct, relay]);
    expect(watching.watch.isSilent(link, [direct])).toBe(false);
  });

  it('is told to nobody where there are no mesh addresses', () => {
    const { watch } = new Watching();
    expect(() => watch.tellLost(undefined, link, [direct])).not.toThrow();
    expect(() => watch.tellLost(OWN, meshWith(OWN, undefined).links[0]!, [direct])).not.toThrow();
  });
});

describe('in a time of its own', () => {
  const clock = new ManualClock();
  let answersDirect = true;
  let answersRelay = true;
  let atMesh: UdpPeer;
  let atRelay: UdpPeer;
  let watching: Watching;

  beforeEach(async () => {
    answersDirect = answersRelay = true;
    [atMesh, atRelay] = [await peerAt(PEER.mesh), await peerAt(PEER.relay)];
    atMesh.answerWhen(() => answersDirect);
    atRelay.answerWhen(() => answersRelay);
    watching = new Watching(clock);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => void vi.useRealTimers());

  /** Packets go through the kernel in the kernel's time: a few turns of the event loop. */
  async function turns(isOver: () => boolean = () => false, most = 20): Promise<void> {
    for (let turn = 0; turn < most && !isOver(); turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50);
      await vi.advanceTimersByTimeAsync(50);
      await turns();
    }
  }

  /** Both paths are up, and alive as far as they answer. */
  async function begin(): Promise<void> {
    watching.watch.look(mesh, [direct, relay]);
    const isThere = (path: 'direct' | 'relay', answers: boolean): boolean =>
      !answers || watching.healthOf(path) === 'alive';
    await turns(() => isThere('direct', answersDirect) && isThere('relay', answersRelay), 100_000);
  }

  const isSilent = (): boolean => watching.watch.isSilent(link, [direct]);

  it('a direct tunnel is silent when its probes were answered and are not any more, while the relay’s are', async () => {
    await begin();
    expect(isSilent()).toBe(false);
    answersDirect = false;
    await pass(3000);
    expect(watching.healthOf('direct')).toBe('dead');
    expect(isSilent()).toBe(true);
    expect(watching.watch.isSilent(link, [{ ...direct, uniqueId: 9 }]), 'by other SAs than were probed').toBe(false);
  });

  it.each([1, 3])('is silent as soon when the first %i packets through the relay are lost', async (lost) => {
    /** Ms from the death of the direct path until it is known, when so many packets are lost in the relay. */
    async function msUntilSilent(relayLoses: number): Promise<number> {
      watching.watch.look(mesh, []);
      answersDirect = true;
      await begin();
      await pass(3000);
      answersDirect = false;
      const relayed = atRelay.received.length;
      const fromMs = clock.monotonicMs();
      while (!isSilent() && clock.monotonicMs() - fromMs < 10_000) {
        answersRelay = atRelay.received.length - relayed >= relayLoses;
        await pass(50);
      }
      return clock.monotonicMs() - fromMs;
    }
    const usual = await msUntilSilent(0);
    expect(await msUntilSilent(lost)).toBeLessThanOrEqual(usual + 150);
  });

  it('a direct tunnel is not silent while the relay has not answered after it fell silent', async () => {
    await begin();
    answersDirect = answersRelay = false;
    for (let passed = 0; passed < 20_000; passed += 500) {
      await pass(500);
      expect(isSilent()).toBe(false);
    }
    expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['dead', 'dead']);
    answersRelay = true;
    await pass(5000);
    expect(isSilent(), 'when only the relay has come back').toBe(true);
  });

  it('a direct tunnel is not silent while no relay is installed, though there should be one', async () => {
    watching.watch.look(mesh, [direct]);
    await turns(() => watching.healthOf('direct') === 'alive', 100_000);
    answersDirect = false;
    await pass(20_000);
    expect([watching.healthOf('direct'), isSilent()]).toEqual(['dead', false]);
  });

  it('a direct tunnel of a link without a relay is silent after ten seconds, if anything ever came through', async () => {
    const alone = { ...mesh, links: [{ ...link, relay: [] }] };
    const silentAlone = (): boolean => watching.watch.isSilent(alone.links[0]!, [direct]);
    watching.watch.look(alone, [direct]);
    await turns(() => watching.healthOf('direct') === 'alive', 100_000);
    answersDirect = false;
    await pass(9900);
    expect([watching.healthOf('direct'), silentAlone()]).toEqual(['dead', false]);
    await pass(1200);
    expect(silentAlone()).toBe(true);
    watching.watch.look(alone, []);
    watching.watch.look(alone, [direct]);
    await pass(20_000);
    expect([watching.healthOf('direct'), silentAlone()]).toEqual(['unknown', false]);
  });

  it('a direct tunnel through which nothing ever came is silent after five seconds, while the relay works', async () => {
    answersDirect = false;
    await begin();
    await pass(4900);
    expect(isSilent()).toBe(false);
    const before = watching.changes;
    await pass(700);
    expect(watching.healthOf('direct')).toBe('unknown');
    expect(isSilent()).toBe(true);
    expect(watching.changes, 'which is told').toBe(before + 1);
  });

  it('a direct tunnel is not silent when nothing ever came through the relay either: the peer may just not answer', async () => {
    answersDirect = answersRelay = false;
    await begin();
    await pass(20_000);
    expect(isSilent()).toBe(false);
  });

  it('a direct tunnel is proven while its probes are answered, or where nothing can be known', async () => {
    const isProven = (each = link, sas = [direct]): boolean => watching.watch.isProven(each, sas);
    expect(isProven(), 'before this node knows its own address').toBe(true);
    watching.watch.look(mesh, []);
    expect(isProven(), 'before it is up').toBe(false);
    answersDirect = false;
    await begin();
    expect(isProven()).toBe(false);
    answersDirect = true;
    await pass(1500);
    expect(isProven()).toBe(true);
    expect(isProven(link, [{ ...direct, uniqueId: 99 }]), 'by what another IKE SA carried').toBe(false);
    answersDirect = false;
    await pass(3000);
    expect(isProven()).toBe(false);
    const withoutPeer = meshWith(OWN, undefined);
    watching.watch.look(withoutPeer, [direct, relay]);
    expect(isProven(withoutPeer.links[0]), 'with a peer that has no address').toBe(true);
  });

  it('a peer that asks through a path which was silent is asked through it at once', async () => {
    answersRelay = false;
    await begin();
    await pass(60_000);
    expect(watching.healthOf('relay')).toBe('unknown');
    answersRelay = true;
    await pass(1000);
    const [received, directReceived] = [atRelay.received.length, atMesh.received.length];
    atRelay.send({ type: 'ask', sender: 9, sequence: 1 }, { address: OWN.relay });
    await turns(() => watching.healthOf('relay') === 'alive', 100_000);
    expect(atRelay.probes.filter(({ type }) => type === 'ask').length - received).toBe(1);
    expect(atMesh.received.length).toBe(directReceived);
  });

  it('a direct tunnel counts as proven after a minute in which nothing spoke for or against it', async () => {
    answersDirect = answersRelay = false;
    await begin();
    await pass(59_000);
    expect(watching.watch.isProven(link, [direct])).toBe(false);
    await pass(2000);
    expect(watching.watch.isProven(link, [direct])).toBe(true);
  });

  describe('a hub', () => {
    const third = {
      ...link,
      id: linkIdSchema.parse('edge1--third'),
      direct: [],
      relay: [{ connection: names.hub, child: childNameSchema.parse('edge1--third') }],
      peerAddresses: { mesh: loopbackAddress(6), relay: loopbackAddress(7) },
    };
    const silentOf = (state: DesiredState, ...ikeSas: IkeSa[]): number[] => [
      ...watching.watch.silentHubs(state, ikeSas).keys(),
    ];

    it('is silent when something came through it and nothing does any more, also while the direct paths work', async () => {
      expect(silentOf(mesh, direct, relay), 'before it is probed').toEqual([]);
      await begin();
      expect(silentOf(mesh, direct, relay)).toEqual([]);
      answersRelay = false;
      await pass(22_000);
      expect(watching.healthOf('direct')).toBe('alive');
      expect(silentOf(mesh, direct, relay)).toEqual([relay.uniqueId]);
      expect(silentOf(mesh, direct, { ...relay, uniqueId: 9 }), 'by what came of other SAs').toEqual([]);
      answersRelay = true;
      await pass(6000);
      expect(silentOf(mesh, direct, relay)).toEqual([]);
    });

    it('is asked through when it is silent, at once, and tells how many of these packets were lost', async () => {
      await begin();
      answersRelay = false;
      await pass(22_000);
      const hub = watching.watch.silentHubs(mesh, [direct, relay]).get(relay.uniqueId);
      expect(hub?.peers).toBe(1);
      const [atMs, received] = [clock.monotonicMs(), atRelay.received.length];
      hub?.ask();
      hub?.ask();
      await turns(() => atRelay.received.length > received, 100_000);
      expect(atRelay.received.length).toBe(received + 1);
      expect(hub?.lostSince(atMs), 'before it is overdue').toBe(0);
      await pass(250);
      expect([hub?.lostSince(atMs), hub?.lostSince(atMs + 1)]).toEqual([1, 0]);
      answersRelay = true;
      hub?.ask();
      await pass(1000);
      expect(silentOf(mesh, direct, relay)).toEqual([]);
    });

    it('is not silent when nothing ever came through it: its peers’ firewalls may drop probes', async () => {
      answersRelay = false;
      await begin();
      await pass(22_000);
      expect(silentOf(mesh, direct, relay)).toEqual([]);
    });

    const both = { ...mesh, links: [...mesh.links, third] };
    const toBoth = { ...relay, childSas: [...relay.childSas, childSa('edge1--third')] };

    async function beginWithBoth(): Promise<void> {
      watching.watch.look(both, [direct, toBoth]);
      const isAlive = ({ id }: DesiredLink): boolean => watching.watch.reading(id, 'relay')?.health === 'alive';
      await turns(() => both.links.every(isAlive), 100_000);
    }

    it('is asked through for each peer that was heard through it, and each lost answer counts', async () => {
      await beginWithBoth();
      // No kernel refuses its probes from now on.
      const atThird = await peerAt(third.peerAddresses.relay);
      answersRelay = false;
      await pass(22_000);
      const hub = watching.watch.silentHubs(both, [direct, toBoth]).get(toBoth.uniqueId);
      expect(hub?.peers).toBe(2);
      const [atMs, before] = [clock.monotonicMs(), atThird.received.length];
      hub?.ask();
      await turns(() => atThird.received.length > before, 100_000);
      await pass(250);
      expect(hub?.lostSince(atMs)).toBe(1);
    });

    it('is not silent while another peer is heard through it', async () => {
      // Its kernel refuses each probe.
      await beginWithBoth();
      answersRelay = false;
      await pass(22_000);
      expect(watching.healthOf('relay')).toBe('dead');
      expect(silentOf(both, direct, toBoth)).toEqual([]);
      expect(silentOf(mesh, direct, toBoth), 'were it the only peer').toEqual([toBoth.uniqueId]);
    });
  });

  describe('this node’s own silence', () => {
    const take = (): boolean => watching.watch.takeOwnSilence();

    it('is told once when nothing comes back on any path, and again after something has', async () => {
      await begin();
      expect(take()).toBe(false);
      answersDirect = answersRelay = false;
      await pass(3000);
      expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['dead', 'dead']);
      expect([take(), take()]).toEqual([true, false]);
      await pass(70_000);
      expect(take(), 'of paths that have been dead for long').toBe(false);
      answersDirect = answersRelay = true;
      await pass(6000);
      expect([watching.healthOf('relay'), take()]).toEqual(['alive', false]);
      answersDirect = answersRelay = false;
      await pass(3000);
      expect([take(), take()]).toEqual([true, false]);
    });

    it('is none while another path still answers', async () => {
      await begin();
      answersDirect = false;
      await pass(3000);
      expect([watching.healthOf('direct'), take()]).toEqual(['dead', false]);
      await pass(10_000);
      expect(take()).toBe(false);
    });

    it('is none while a peer still asks: its packets reach this node, and answers may be late', async () => {
      await begin();
      answersDirect = answersRelay = false;
      await pass(2000);
      atMesh.send({ type: 'ask', sender: 9, sequence: 1 }, { address: OWN.mesh });
      await turns(() => atMesh.probes.some(({ type }) => type === 'answer'), 100_000);
      await pass(1000);
      expect([watching.healthOf('direct'), watching.healthOf('relay')]).toEqual(['dead', 'dead']);
      expect(take()).toBe(false);
    });

    it('is none when a hub has died, and what is asked of others then is hardly more than usual', async () => {
      await begin();
      await pass(20_000);
      answersRelay = false;
      const before = atMesh.received.length;
      await pass(20_000);
      expect([watching.healthOf('relay'), take()]).toEqual(['dead', false]);
      expect(atMesh.received.length - before).toBeLessThanOrEqual(25);
    });

    it('is told also when a path has been dead before: its old silence does not hide the new one', async () => {
      await begin();
      answersDirect = false;
      await pass(3000);
      expect(take()).toBe(false);
      await pass(10_000);
      answersRelay = false;
      await pass(20_000);
      expect(watching.healthOf('relay')).toBe('dead');
      expect([take(), take()]).toEqual([true, false]);
    });
  });

  describe('a path that is no longer young', () => {
    /** What charon counts: the probes, their answers, and this many packets of others. */
    const counted = (others: number): readonly IkeSa[] => [
      {
        ...direct,
        childSas: [childSa(LINK, { packetsOut: atMesh.received.length + others, packetsIn: atMesh.received.length })],
      },
    ];

    /** Asked packets in 20 s, with so many packets of others in each two seconds. */
    async function askedWith(othersEach: number): Promise<number> {
      let others = 0;
      const lookFor = async (ms: number): Promise<void> => {
        for (let passed = 0; passed < ms; passed += 2000) {
          await pass(2000);
          others += othersEach;
          watching.watch.look(mesh, counted(others));
        }
      };
      watching.watch.look(mesh, counted(0));
      await lookFor(66_000);
      const before = atMesh.received.length;
      await lookFor(20_000);
      return atMesh.received.length - before;
    }

    it('is asked now and then while only the probes use it', async () =>
      expect(await askedWith(0)).toBeLessThanOrEqual(5));

    it('is asked more seldom still when it is the relay, young or not', async () => {
      watching.watch.look(mesh, [direct, relay]);
      const lookFor = async (ms: number): Promise<void> => {
        for (let passed = 0; passed < ms; passed += 2000) {
          await pass(2000);
          const packetsOut = 2 * atRelay.received.length;
          watching.watch.look(mesh, [direct, { ...relay, childSas: [childSa(LINK, { packetsOut })] }]);
        }
      };
      await lookFor(6000);
      const before = atRelay.received.length;
      await lookFor(40_000);
      expect(atRelay.received.length - before).toBeLessThanOrEqual(3);
    });

    it('is asked at once when another one is overdue, to see whether it is this node’s network', async () => {
      watching.watch.look(mesh, [direct, relay]);
      for (let passed = 0; passed < 66_000; passed += 2000) {
        await pass(2000);
        const count = (peer: UdpPeer): Partial<ReturnType<typeof childSa>> => ({
          packetsOut: 2 * peer.received.length,
        });
        watching.watch.look(mesh, [
          { ...direct, childSas: [childSa(LINK, count(atMesh))] },
          { ...relay, childSas: [childSa(LINK, count(atRelay))] },
        ]);
      }
      answersDirect = false;
      const before = atMesh.received.length;
      let relayed = 0;
      // The packet that is lost, and the first one more for it.
      while (atMesh.received.length < before + 2) {
        relayed = atRelay.received.length;
        await pass(50);
      }
      expect(atRelay.received.length).toBe(relayed + 1);
      await pass(5000);
      expect(watching.healthOf('direct')).toBe('dead');
      expect(watching.watch.takeOwnSilence()).toBe(false);
      expect(atRelay.received.length).toBeLessThanOrEqual(relayed + 3);
    });

    it('is asked every second while others use it', async () => expect(await askedWith(50)).toBeGreaterThanOrEqual(19));
  });
});

it('a machine that cannot answer says so', async () => {
  await using squatter = await UdpPeer.open(OWN.mesh);
  const watching = new Watching();
  await eventually(() => {
    watching.watch.look(mesh, []);
    expect(watching.watch.problem ?? '').toContain(`${OWN.mesh}:7447 cannot be answered: bind EADDRINUSE`);
  });
  expect(squatter.received).toEqual([]);
});
