import { describe, expect, it, onTestFinished } from 'vitest';
import { ProbeSocket } from '../../src/agent/probe-socket.ts';
import { eventually } from '../vici/eventually.ts';
import { loopbackAddress, openSockets, peerAt } from './udp-peer.ts';

const OWN = loopbackAddress(2);
const PEER = loopbackAddress(4);
const STRANGER = loopbackAddress(6);
/** From the range for documentation: no machine has it. */
const NOWHERE = '192.0.2.77';
const SENDER = 0xfedc_ba98;

class Asking {
  readonly answers: number[] = [];
  refusals = 0;
  readonly socket: ProbeSocket;

  constructor(local = OWN) {
    this.socket = new ProbeSocket({
      local,
      remote: PEER,
      sender: SENDER,
      onAnswer: (sequence) => this.answers.push(sequence),
      onRefused: () => (this.refusals += 1),
    });
    onTestFinished(() => this.socket[Symbol.dispose]());
  }
}

describe('a probe socket', () => {
  it('asks from its own address, and tells the answers', async () => {
    const peer = await peerAt(PEER);
    peer.answerWhen();
    const asking = new Asking();
    for (const sequence of [1, 2, 3]) asking.socket.send(sequence);
    await eventually(() => expect(asking.answers).toEqual([1, 2, 3]));
    expect(peer.probes).toEqual([1, 2, 3].map((sequence) => ({ type: 'ask', sender: SENDER, sequence })));
    expect(new Set(peer.received.map(({ from }) => from.address))).toEqual(new Set([OWN]));
  });

  it('opens nothing before it has something to send', async () => {
    await eventually(() => expect(openSockets()).toBe(0));
    const asking = new Asking();
    expect([openSockets(), asking.answers]).toEqual([0, []]);
  });

  it('hears nobody but the peer, and of the peer only answers to itself', async () => {
    const [peer, stranger] = [await peerAt(PEER), await peerAt(STRANGER)];
    const asking = new Asking();
    asking.socket.send(1);
    await eventually(() => expect(peer.received).toHaveLength(1));
    const to = peer.received[0]!.from;
    stranger.send({ type: 'answer', sender: SENDER, sequence: 1 }, to);
    peer.send({ type: 'answer', sender: SENDER + 1, sequence: 2 }, to);
    peer.send({ type: 'ask', sender: SENDER, sequence: 3 }, to);
    peer.send({ type: 'lost', initiatorSpi: '0123456789abcdef' }, to);
    peer.send(Buffer.from('hello'), to);
    peer.send({ type: 'answer', sender: SENDER, sequence: 4 }, to);
    await eventually(() => expect(asking.answers).toEqual([4]));
  });

  it('tells that the peer’s kernel refuses, every time, and hears the peer as soon as its agent is there', async () => {
    const asking = new Asking();
    let sequence = 0;
    await eventually(() => {
      asking.socket.send((sequence += 1));
      expect(asking.refusals).toBeGreaterThan(3);
    });
    const peer = await peerAt(PEER);
    peer.answerWhen();
    await eventually(() => {
      asking.socket.send((sequence += 1));
      expect(asking.answers.length).toBeGreaterThan(0);
    });
  });

  it('asks from the same port after a refusal', async () => {
    const asking = new Asking();
    await eventually(() => {
      asking.socket.send(1);
      expect(asking.refusals).toBeGreaterThan(0);
    });
    expect(openSockets()).toBe(1);
    const peer = await peerAt(PEER);
    await eventually(() => {
      asking.socket.send(2);
      expect(peer.received.length).toBeGreaterThan(2);
    });
    expect(new Set(peer.received.map(({ from }) => from.port)).size).toBe(1);
  });

  it('loses what it cannot send for want of its own address, and leaves no socket behind', async () => {
    const asking = new Asking(NOWHERE);
    for (let sequence = 1; sequence <= 50; sequence += 1) {
      asking.socket.send(sequence);
      await eventually(() => expect(openSockets()).toBe(0));
    }
    expect([asking.answers, asking.refusals]).toEqual([[], 0]);
  });

  it('is closed by its disposal, also while it is being bound, and stays so', async () => {
    const asking = new Asking();
    asking.socket.send(1);
    asking.socket[Symbol.dispose]();
    asking.socket[Symbol.dispose]();
    asking.socket.send(2);
    await eventually(() => expect(openSockets()).toBe(0));
    expect([asking.answers, asking.refusals]).toEqual([[], 0]);
  });
});
