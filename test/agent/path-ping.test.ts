import { afterEach, describe, expect, it, vi } from 'vitest';
import { pingOnce, type PingAnswer } from '../../src/agent/path-ping.ts';
import { eventually } from '../vici/eventually.ts';
import { loopbackAddress, openSockets, peerAt } from './udp-peer.ts';

const OWN = loopbackAddress(12);
const PEER = loopbackAddress(14);

const ping = (): Promise<PingAnswer> => pingOnce(OWN, PEER, () => 0.5);

afterEach(() => void vi.useRealTimers());

describe('one packet through a path', () => {
  it('is answered, and the time it took is told', async () => {
    (await peerAt(PEER)).answerWhen();
    expect(await ping()).toEqual({ outcome: 'answered', rttMs: expect.any(Number) });
  });

  it('is refused where no agent listens', async () => expect(await ping()).toEqual({ outcome: 'refused' }));

  it('is lost when nothing has come back after two seconds, not before, and its socket is closed then', async () => {
    const silent = await peerAt(PEER);
    const before = openSockets();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let answer: PingAnswer | undefined;
    const asked = ping().then((settled) => (answer = settled));
    while (silent.probes.length === 0) await new Promise(setImmediate);
    vi.advanceTimersByTime(1999);
    await new Promise(setImmediate);
    expect(answer).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect(await asked).toEqual({ outcome: 'lost' });
    vi.useRealTimers();
    await eventually(() => expect(openSockets()).toBe(before));
  });

  it('leaves no timer behind when it was answered', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    (await peerAt(PEER)).answerWhen();
    expect(await ping()).toMatchObject({ outcome: 'answered' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
