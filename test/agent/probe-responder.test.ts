import { describe, expect, it, onTestFinished } from 'vitest';
import { ProbeResponder } from '../../src/agent/probe-responder.ts';
import { eventually } from '../vici/eventually.ts';
import { loopbackAddress, openSockets, peerAt, UdpPeer } from './udp-peer.ts';

const MESH = loopbackAddress(2);
const RELAY = loopbackAddress(3);
const PEER = loopbackAddress(4);
const STRANGER = loopbackAddress(6);
/** From the range for documentation: no machine has it. */
const NOWHERE = '192.0.2.77';
const SPI = '0123456789abcdef';

const ask = (sequence: number): { type: 'ask'; sender: number; sequence: number } => ({
  type: 'ask',
  sender: 9,
  sequence,
});

function respond(): { readonly responder: ProbeResponder; readonly lost: string[]; readonly timesAsked: () => number } {
  const lost: string[] = [];
  let timesAsked = 0;
  const responder = new ProbeResponder({
    onAsked: () => (timesAsked += 1),
    onLost: (to, from, initiatorSpi) => lost.push(`${from} to ${to}: ${initiatorSpi}`),
  });
  onTestFinished(() => responder[Symbol.asyncDispose]());
  return { responder, lost, timesAsked: () => timesAsked };
}

let sequence = 0;

/** Resolves when this address has answered; all that was sent there before has then been taken in. */
async function answered(peer: UdpPeer, address: string): Promise<void> {
  const first = sequence + 1;
  const isAnswered = (): boolean => peer.probes.some((probe) => probe.type === 'answer' && probe.sequence >= first);
  // Nobody may be listening there yet.
  await eventually(() => {
    if (!isAnswered()) peer.send(ask((sequence += 1)), { address });
    expect(isAnswered()).toBe(true);
  });
  const last = (sequence += 1);
  peer.send(ask(last), { address });
  await eventually(() => expect(peer.probes).toContainEqual({ ...ask(last), type: 'answer' }));
}

describe('a responder', () => {
  it('answers a peer on each of its addresses, at the port that it asked from', async () => {
    const { responder } = respond();
    responder.serve([MESH, RELAY], new Set([PEER]));
    const peer = await peerAt(PEER, 0);
    await answered(peer, MESH);
    await answered(peer, RELAY);
    expect(new Set(peer.received.map(({ from }) => `${from.address}:${from.port}`))).toEqual(
      new Set([`${MESH}:7447`, `${RELAY}:7447`]),
    );
    expect(responder.problem).toBeNull();
  });

  it('answers nobody else, whose questions count for nothing', async () => {
    const { responder, timesAsked } = respond();
    responder.serve([MESH], new Set([PEER]));
    const [peer, stranger] = [await peerAt(PEER), await peerAt(STRANGER)];
    await answered(peer, MESH);
    stranger.send(ask(1), { address: MESH });
    await answered(peer, MESH);
    expect(stranger.received).toEqual([]);
    expect(responder.answersTo(STRANGER)).toBe(0);
    expect(timesAsked()).toBe(responder.answersTo(PEER));
  });

  it('answers questions only: no answer, no garbage, and nothing longer than it got', async () => {
    const { responder, lost } = respond();
    responder.serve([MESH], new Set([PEER]));
    const peer = await peerAt(PEER);
    await answered(peer, MESH);
    peer.received.length = 0;
    const before = sequence;
    peer.send({ type: 'answer', sender: 9, sequence: 5 }, { address: MESH });
    peer.send(Buffer.from('hello'), { address: MESH });
    peer.send(Buffer.alloc(1400, 0x43), { address: MESH });
    await answered(peer, MESH);
    expect(peer.received.every(({ bytes }) => bytes.length === 16)).toBe(true);
    expect(peer.received.length).toBe(sequence - before);
    expect(lost).toEqual([]);
  });

  it('counts its answers by peer, and forgets them with the peer', async () => {
    const { responder } = respond();
    responder.serve([MESH], new Set([PEER]));
    const peer = await peerAt(PEER);
    await answered(peer, MESH);
    expect(responder.answersTo(PEER)).toBe(peer.received.length);
    responder.serve([MESH], new Set());
    expect(responder.answersTo(PEER)).toBe(0);
  });

  it('takes on other peers and gives up the old ones, on the same socket', async () => {
    const { responder } = respond();
    responder.serve([MESH], new Set([STRANGER]));
    const [peer, stranger] = [await peerAt(PEER), await peerAt(STRANGER)];
    await answered(stranger, MESH);
    responder.serve([MESH], new Set([PEER]));
    await answered(peer, MESH);
    expect(openSockets()).toBe(3);
    stranger.received.length = 0;
    stranger.send(ask(3), { address: MESH });
    await answered(peer, MESH);
    expect(stranger.received).toEqual([]);
  });

  it('leaves an address that is no longer its own, so that another program can have it', async () => {
    const { responder } = respond();
    responder.serve([MESH, RELAY], new Set([PEER]));
    const peer = await peerAt(PEER);
    await answered(peer, MESH);
    responder.serve([RELAY], new Set([PEER]));
    await answered(peer, RELAY);
    await using other = await UdpPeer.open(MESH);
    other.answerWhen();
    await answered(peer, MESH);
  });
});

describe('an address that a responder cannot have', () => {
  it('is a problem in words, and is no problem once it can', async () => {
    const { responder } = respond();
    const squatter = await UdpPeer.open(MESH);
    responder.serve([MESH], new Set([PEER]));
    await eventually(() =>
      expect(responder.problem).toBe(`probes on ${MESH}:7447 cannot be answered: bind EADDRINUSE ${MESH}:7447`),
    );
    await squatter[Symbol.asyncDispose]();
    const peer = await peerAt(PEER);
    await eventually(() => {
      responder.serve([MESH], new Set([PEER]));
      expect(responder.problem).toBeNull();
    });
    await answered(peer, MESH);
  });

  it('does not keep it from the others, and stays a problem', async () => {
    const { responder } = respond();
    const peer = await peerAt(PEER);
    responder.serve([NOWHERE, MESH], new Set([PEER]));
    await answered(peer, MESH);
    responder.serve([NOWHERE, MESH], new Set([PEER]));
    await eventually(() => expect(responder.problem).toMatch(/192\.0\.2\.77:7447 cannot be answered: .*EADDRNOTAVAIL/));
  });

  it('is no problem any more when it is not wanted', async () => {
    const { responder } = respond();
    responder.serve([NOWHERE], new Set([PEER]));
    await eventually(() => expect(responder.problem).not.toBeNull());
    responder.serve([], new Set());
    expect(responder.problem).toBeNull();
  });

  it('leaves no socket behind, however often it is tried', async () => {
    const { responder } = respond();
    await eventually(() => expect(openSockets()).toBe(0));
    for (let round = 1; round <= 50; round += 1) {
      responder.serve([NOWHERE], new Set([PEER]));
      await eventually(() => expect(openSockets()).toBe(0));
    }
  });
});

describe('what a node gives up', () => {
  it('is told to the peer by way of the relay, and heard there with both addresses', async () => {
    const [teller, hearer] = [respond(), respond()];
    teller.responder.serve([MESH, RELAY], new Set([PEER]));
    hearer.responder.serve([PEER], new Set([RELAY]));
    await eventually(() => {
      teller.responder.tellLost(RELAY, PEER, SPI);
      expect(hearer.lost).toContain(`${RELAY} to ${PEER}: ${SPI}`);
    });
    expect(new Set(hearer.lost)).toEqual(new Set([`${RELAY} to ${PEER}: ${SPI}`]));
    expect(teller.lost).toEqual([]);
  });

  it('is not heard from anybody else', async () => {
    const { responder, lost } = respond();
    responder.serve([MESH], new Set([PEER]));
    const [peer, stranger] = [await peerAt(PEER), await peerAt(STRANGER)];
    await answered(peer, MESH);
    stranger.send({ type: 'lost', initiatorSpi: SPI }, { address: MESH });
    await answered(peer, MESH);
    expect(lost).toEqual([]);
  });

  it('is not told from an address that it does not have', () => {
    const { responder } = respond();
    expect(() => responder.tellLost(RELAY, PEER, SPI)).not.toThrow();
  });
});

describe('disposal of a responder', () => {
  it('closes everything, at once and twice, also what was about to be bound', async () => {
    const { responder } = respond();
    responder.serve([MESH, RELAY, NOWHERE], new Set([PEER]));
    await responder[Symbol.asyncDispose]();
    await responder[Symbol.asyncDispose]();
    await eventually(() => expect(openSockets()).toBe(0));
    await using other = await UdpPeer.open(MESH);
    expect(other.received).toEqual([]);
  });
});
