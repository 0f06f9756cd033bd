import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { decodeProbe } from '../../src/agent/probe-packet.ts';
import { Prober, type ProbeReading, type ProbeTarget } from '../../src/agent/prober.ts';
import { systemClock } from '../../src/clock.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { eventually } from '../vici/eventually.ts';
import { loopbackAddress, openSockets, peerAt, type UdpPeer } from './udp-peer.ts';

const OWN = loopbackAddress(2);
const PEER = loopbackAddress(4);
const OTHER_PEER = loopbackAddress(6);
const LINK = 'edge1--remote';

const target = (change: Partial<ProbeTarget> = {}): ProbeTarget => ({
  link: LINK,
  path: 'direct',
  local: OWN,
  remote: PEER,
  sas: '1',
  use: 'busy',
  ...change,
});

/** Answers what comes to a peer so late, and one after the other: an agent or a hub with little time. */
class LateAnswers {
  lateMs = 0;
  readonly #peer: UdpPeer;
  readonly #perSecond: number;
  readonly #cameAtMs: number[] = [];
  #answered = 0;
  #nowMs = 0;
  #credit = 0;

  constructor(peer: UdpPeer, perSecond = 1000) {
    this.#peer = peer;
    this.#perSecond = perSecond;
  }

  get waiting(): number {
    return this.#peer.received.length - this.#answered;
  }

  passed(ms: number): void {
    this.#nowMs += ms;
    while (this.#cameAtMs.length < this.#peer.received.length) this.#cameAtMs.push(this.#nowMs);
    this.#credit = Math.min(this.waiting, this.#credit + (ms * this.#perSecond) / 1000);
    for (; this.#credit >= 1 && this.#isDue; this.#credit -= 1) this.#answer();
  }

  get #isDue(): boolean {
    return (this.#cameAtMs[this.#answered] ?? Infinity) + this.lateMs <= this.#nowMs;
  }

  #answer(): void {
    const { bytes, from } = this.#peer.received[this.#answered]!;
    this.#answered += 1;
    const packet = decodeProbe(bytes);
    if (packet?.type === 'ask') this.#peer.send({ ...packet, type: 'answer' }, from);
  }
}

class Probing {
  changes = 0;
  readonly prober: Prober;

  constructor(clock: Pick<typeof systemClock, 'nowMs' | 'monotonicMs'> = systemClock) {
    this.prober = new Prober({ clock, random: () => 0.25, onChange: () => (this.changes += 1) });
    onTestFinished(() => this.prober[Symbol.dispose]());
  }

  get direct(): ProbeReading | undefined {
    return this.prober.reading(LINK, 'direct');
  }
}

describe('a path that is watched', () => {
  it('is alive as soon as the peer has answered, which is told once', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const probing = new Probing();
    probing.prober.watch([target()]);
    expect(probing.direct).toMatchObject({ health: 'unknown', rttMs: undefined, loss: undefined });
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    expect(probing.direct).toMatchObject({ silentMs: 0, loss: 0 });
    expect(probing.direct?.rttMs).toBeGreaterThan(0);
    expect(probing.changes).toBe(1);
    expect(probing.prober.packets(LINK, 'direct')).toBe(2);
  });

  it('is alive too when only the peer’s kernel answers: the agent there may be down', async () => {
    const probing = new Probing();
    probing.prober.watch([target()]);
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    expect(probing.direct?.rttMs).toBeUndefined();
  });

  it('goes on with what is known of it, whatever its use, and begins anew with other SAs', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const probing = new Probing();
    probing.prober.watch([target()]);
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    probing.prober.watch([target({ use: 'idle' })]);
    expect(probing.direct?.health).toBe('alive');
    probing.prober.watch([target({ sas: '2' })]);
    expect(probing.direct).toMatchObject({ health: 'unknown', rttMs: undefined });
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
  });

  it('is no other link’s, and no other path of its link', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const probing = new Probing();
    probing.prober.watch([target(), target({ path: 'relay', remote: loopbackAddress(8), local: loopbackAddress(3) })]);
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    expect(probing.prober.reading('edge1--other', 'direct')).toBeUndefined();
    expect(probing.prober.packets('edge1--other', 'direct')).toBe(0);
    expect(probing.prober.target(LINK, 'relay')?.remote).toBe(loopbackAddress(8));
    expect(probing.prober.target(LINK, 'direct')?.remote).toBe(PEER);
  });

  it('is known no more when it is not watched any more', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const probing = new Probing();
    probing.prober.watch([target()]);
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    probing.prober.watch([]);
    expect(probing.direct).toBeUndefined();
    expect(probing.prober.target(LINK, 'direct')).toBeUndefined();
    await eventually(() => expect(openSockets()).toBe(1));
  });
});

describe('a path whose peer falls silent', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  /** The packets of the test go through the kernel in the time of the kernel. */
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  async function soon(isThere: () => boolean): Promise<void> {
    for (let turns = 0; !isThere() && turns < 100_000; turns += 1) await turn();
    expect(isThere()).toBe(true);
  }

  const clock = new ManualClock();

  /** In steps as small as the packets of the kernel need them. */
  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.advance(50);
      await vi.advanceTimersByTimeAsync(50);
      for (let turns = 0; turns < 20; turns += 1) await turn();
    }
  }

  it('is dead within 2.5 s, which is told at once and once; and alive with its next answer', async () => {
    const peer = await peerAt(PEER);
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    const probing = new Probing(clock);
    probing.prober.watch([target({ use: 'busy' })]);
    await soon(() => probing.direct?.health === 'alive');
    isSilent = true;
    const changes = probing.changes;
    const fromMs = clock.monotonicMs();
    while (probing.direct?.health === 'alive' && clock.monotonicMs() - fromMs < 10_000) {
      clock.advance(10);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(clock.monotonicMs() - fromMs).toBeLessThanOrEqual(2500);
    await pass(250);
    expect(probing.prober.dead()).toEqual(new Map([[`${LINK} direct`, fromMs + 1000]]));
    expect(probing.changes).toBe(changes + 1);
    await pass(20_000);
    expect(probing.changes).toBe(changes + 1);
    isSilent = false;
    await pass(1200);
    await soon(() => probing.direct?.health === 'alive');
    expect(probing.changes).toBe(changes + 2);
    expect(probing.prober.dead().size).toBe(0);
  });

  const relay = target({ path: 'relay', remote: OTHER_PEER, use: 'spare' });

  it('is outdone when the link’s other path is answered, which is told', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let [isSilent, isOtherSilent] = [false, false];
    peer.answerWhen(() => !isSilent);
    other.answerWhen(() => !isOtherSilent);
    const probing = new Probing(clock);
    probing.prober.watch([target(), relay]);
    await soon(() => probing.direct?.health === 'alive' && probing.prober.reading(LINK, 'relay')?.health === 'alive');
    isSilent = isOtherSilent = true;
    await pass(10_000);
    expect(probing.direct).toMatchObject({ health: 'dead', isOutdone: false });
    const { changes } = probing;
    isOtherSilent = false;
    await pass(1500);
    expect(probing.direct).toMatchObject({ health: 'dead', isOutdone: true });
    expect(probing.changes - changes, 'that the one is alive, and the other outdone').toBe(2);
    isSilent = false;
    await pass(1500);
    expect(probing.direct).toMatchObject({ health: 'alive', isOutdone: false });
  });

  it('and never answered is outdone after five seconds, and not before', async () => {
    const other = await peerAt(OTHER_PEER);
    await peerAt(PEER);
    other.answerWhen();
    const probing = new Probing(clock);
    probing.prober.watch([relay]);
    await soon(() => probing.prober.reading(LINK, 'relay')?.health === 'alive');
    await pass(16_000);
    probing.prober.watch([relay, target()]);
    await pass(4900);
    expect([probing.direct?.isOutdone, probing.changes]).toEqual([false, 1]);
    await pass(500);
    expect(probing.direct).toMatchObject({ health: 'unknown', isOutdone: true });
    expect([probing.changes, probing.prober.dead().size]).toEqual([2, 0]);
  });

  it('and never answered leaves another one in peace that has not either', async () => {
    const other = await peerAt(OTHER_PEER);
    await peerAt(PEER);
    const probing = new Probing(clock);
    probing.prober.watch([target(), relay]);
    await pass(20_000);
    expect(other.received.length).toBeLessThanOrEqual(5);
    expect(probing.changes).toBe(0);
  });

  it('makes the other paths send one more packet, and no more than that', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    other.answerWhen();
    const probing = new Probing(clock);
    probing.prober.watch([target(), target({ path: 'relay', remote: OTHER_PEER, use: 'idle' })]);
    await soon(() => probing.prober.reading(LINK, 'relay')?.health === 'alive' && probing.direct?.health === 'alive');
    await pass(66_000);
    const before = other.received.length;
    await pass(10_000);
    const usual = other.received.length - before;
    expect(usual).toBe(2);
    isSilent = true;
    await pass(10_000);
    expect(probing.direct?.health).toBe('dead');
    expect(other.received.length - before - usual).toBeLessThanOrEqual(usual + 1);
    expect(other.received.length - before - usual).toBeGreaterThanOrEqual(usual);
  });

  it('makes only a few of a crowd send, so that one lost packet is no reason for a storm', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    other.answerWhen();
    const probing = new Probing(clock);
    const crowd = Array.from({ length: 30 }, (_, index) =>
      target({ link: `other${index}--remote`, remote: OTHER_PEER, use: 'idle' }),
    );
    probing.prober.watch([target(), ...crowd]);
    await soon(() => crowd.every(({ link }) => probing.prober.reading(link, 'direct')?.health === 'alive'));
    await pass(67_500);
    isSilent = true;
    const before = peer.received.length;
    let asked = 0;
    // The packet that is lost, and the first one more for it.
    while (peer.received.length < before + 2) {
      asked = other.received.length;
      await pass(50);
    }
    expect(other.received.length - asked).toBe(4);
  });

  it('makes none of the others send when one of them has been answered since', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    other.answerWhen();
    const probing = new Probing(clock);
    const crowd = Array.from({ length: 30 }, (_, index) =>
      target({ link: `other${index}--remote`, remote: OTHER_PEER, use: 'idle' }),
    );
    probing.prober.watch([target(), ...crowd]);
    await soon(() => crowd.every(({ link }) => probing.prober.reading(link, 'direct')?.health === 'alive'));
    await pass(67_500);
    isSilent = true;
    const before = peer.received.length;
    while (peer.received.length === before) await pass(50);
    const asked = other.received.length;
    probing.prober.ask('other0--remote', 'direct');
    while (peer.received.length < before + 2) await pass(50);
    expect(other.received.length - asked).toBe(1);
  });

  it('makes no relay of another link send when it is a direct one', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    other.answerWhen();
    const probing = new Probing(clock);
    const relay = target({ link: 'other--remote', path: 'relay', remote: OTHER_PEER, use: 'spare' });
    probing.prober.watch([target(), relay]);
    await soon(() => probing.direct?.health === 'alive' && other.received.length === 1);
    isSilent = true;
    await pass(10_000);
    expect(probing.direct?.health).toBe('dead');
    expect(other.received.length).toBe(1);
  });

  it('and is a relay leaves the direct path of its link in peace when anything at all has come back since', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen();
    other.answerWhen(() => !isSilent);
    const probing = new Probing(clock);
    const [idle, relay] = [target({ use: 'idle' }), target({ path: 'relay', remote: OTHER_PEER, use: 'spare' })];
    probing.prober.watch([idle, relay, target({ link: 'edge1--other' })]);
    await soon(() => probing.direct?.health === 'alive' && probing.prober.reading(LINK, 'relay')?.health === 'alive');
    await pass(67_500);
    isSilent = true;
    const before = probing.prober.packets(LINK, 'direct');
    await pass(30_000);
    expect(probing.prober.reading(LINK, 'relay')?.health).toBe('dead');
    expect(probing.prober.packets(LINK, 'direct') - before, 'six packets and their answers').toBe(12);
  });

  const sites = Array.from({ length: 39 }, (_, index) => `edge1--site${index}`);

  async function passWith(answers: LateAnswers, ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await pass(50);
      answers.passed(50);
    }
  }

  it('is asked hardly more often when all answers come two seconds late', async () => {
    const peer = await peerAt(PEER);
    const answers = new LateAnswers(peer);
    const probing = new Probing(clock);
    // Each has a turn of its own.
    for (const [index] of sites.entries()) {
      probing.prober.watch(sites.slice(0, index + 1).map((link) => target({ link, use: 'idle' })));
      await passWith(answers, 200);
    }
    await passWith(answers, 60_000);
    const asked = async (): Promise<number> => {
      const before = peer.received.length;
      await passWith(answers, 30_000);
      return peer.received.length - before;
    };
    const usual = await asked();
    answers.lateMs = 2000;
    const late = await asked();
    expect(late).toBeLessThanOrEqual(2 * usual);
  });

  it('is asked so little when answers are late that a hub with much to do catches up', async () => {
    const [peer, hub] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    peer.answerWhen();
    const answers = new LateAnswers(hub, 6);
    const probing = new Probing(clock);
    const relays = sites.map((link) => target({ link, path: 'relay', remote: OTHER_PEER, use: 'spare' }));
    probing.prober.watch([...sites.map((link) => target({ link, use: 'idle' })), ...relays]);
    await soon(() => hub.received.length === sites.length);
    answers.passed(10_000);
    await soon(() => sites.every((link) => probing.prober.reading(link, 'relay')?.health === 'alive'));
    // All of them are due again at the same time.
    await passWith(answers, 100_000);
    expect(answers.waiting).toBeLessThanOrEqual(3);
  });

  it('leaves the others in peace when it never answered', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    other.answerWhen();
    const probing = new Probing(clock);
    const relay = target({ path: 'relay', remote: OTHER_PEER, use: 'idle' });
    probing.prober.watch([relay]);
    await soon(() => probing.prober.reading(LINK, 'relay')?.health === 'alive');
    await pass(66_000);
    probing.prober.watch([relay, target()]);
    const before = other.received.length;
    await pass(10_000);
    expect(other.received.length - before).toBe(2);
    expect(peer.received.length).toBeGreaterThanOrEqual(10);
    expect(peer.received.length).toBeLessThanOrEqual(11);
  });

  it('and that is in use again is probed at once, if nothing is out', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const probing = new Probing(clock);
    probing.prober.watch([target({ use: 'idle' })]);
    await soon(() => probing.direct?.health === 'alive');
    await pass(67_500);
    const before = peer.received.length;
    probing.prober.watch([target({ use: 'idle' })]);
    await pass(50);
    expect(peer.received.length).toBe(before);
    probing.prober.watch([target({ use: 'busy' })]);
    probing.prober.watch([target({ use: 'busy' })]);
    await soon(() => peer.received.length > before);
    expect(peer.received.length).toBe(before + 1);
    await pass(3000);
    expect(peer.received.length - before).toBeGreaterThanOrEqual(3);
  });

  it('shows when anything came back last, on any path', async () => {
    const [peer, other] = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    let isSilent = false;
    peer.answerWhen(() => !isSilent);
    other.answerWhen(() => !isSilent);
    const probing = new Probing(clock);
    expect(probing.prober.heardAtMs).toBeUndefined();
    probing.prober.watch([target(), target({ path: 'relay', remote: OTHER_PEER })]);
    expect(probing.prober.heardAtMs).toBeUndefined();
    await soon(() => probing.direct?.health === 'alive' && probing.prober.reading(LINK, 'relay')?.health === 'alive');
    const atMs = clock.monotonicMs();
    expect(probing.prober.heardAtMs).toBe(atMs);
    isSilent = true;
    await pass(3000);
    expect(probing.prober.heardAtMs).toBe(atMs);
    expect(probing.prober.dead().size).toBe(2);
    expect(probing.direct).toMatchObject({ sas: '1', answeredAtMs: atMs });
  });
});

describe('a prober', () => {
  it('leaks no socket, however often it is told what to watch', async () => {
    const peers = [await peerAt(PEER), await peerAt(OTHER_PEER)];
    for (const peer of peers) peer.answerWhen();
    const probing = new Probing();
    await eventually(() => expect(openSockets()).toBe(peers.length));
    for (let round = 0; round < 5000; round += 1) {
      probing.prober.watch([
        target(),
        target({ path: 'relay', remote: OTHER_PEER, use: round % 2 === 0 ? 'busy' : 'idle' }),
      ]);
    }
    await eventually(() => expect(probing.direct?.health).toBe('alive'));
    expect(openSockets()).toBe(peers.length + 2);
    for (let round = 0; round < 500; round += 1) probing.prober.watch([target({ sas: `${round}` })]);
    await eventually(() => expect(openSockets()).toBe(peers.length + 1));
  });

  it('has one timer for each path, and none after its disposal', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const probing = new Probing();
    for (let round = 0; round < 1000; round += 1) {
      probing.prober.watch([target(), target({ path: 'relay', sas: `${round}` })]);
    }
    expect(vi.getTimerCount()).toBe(2);
    probing.prober[Symbol.dispose]();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is silent after its disposal, and has nothing open', async () => {
    const peer = await peerAt(PEER);
    const probing = new Probing();
    probing.prober.watch([target(), target({ path: 'relay' })]);
    await eventually(() => expect(peer.received.length).toBeGreaterThan(0));
    probing.prober[Symbol.dispose]();
    probing.prober[Symbol.dispose]();
    await eventually(() => expect(openSockets()).toBe(1));
    expect(probing.direct).toBeUndefined();
    expect(probing.changes).toBe(0);
  });
});
