import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { hasIke } from '../../../src/agent/netcheck/ike-question.ts';
import { ike, instantPause, MemoryNetwork } from './memory-network.ts';

const HUB = '203.0.113.10';

let network: MemoryNetwork;
beforeEach(() => void (network = new MemoryNetwork()));

function knock(address = HUB, port = 4500, signal = new AbortController().signal): Promise<boolean> {
  return hasIke({ network, randomBytes, pause: instantPause() }, { address, port }, signal);
}

describe('an IKE daemon', () => {
  it.each([
    [HUB, 500],
    [HUB, 4500],
    [HUB, 14_500],
  ])('that answers strangers is there: at %s, port %i', async (address, port) => {
    network.services.set(`${address}:${port}`, ike);
    expect(await knock(address, port)).toBe(true);
  });

  it('is there also when two of three packets are lost', async () => {
    network.services.set(`${HUB}:4500`, ike);
    network.isLost = (packet) => packet < 2;
    expect(await knock()).toBe(true);
  });

  it('is not, as far as anybody can tell, when it is silent, cannot be asked, or the agent ends', async () => {
    expect(await knock()).toBe(false);
    expect(network.sent).toHaveLength(3);
    network.services.set(`${HUB}:4500`, ike);
    expect(await knock(HUB, 4500, AbortSignal.abort())).toBe(false);
    network.openFailure = () => new Error('no IPv4 here');
    expect(await knock()).toBe(false);
  });

  it('is not there by an answer to somebody else’s question', async () => {
    network.services.set(`${HUB}:4500`, (datagram, from) => {
      const other = datagram.slice();
      other[4] = (other[4] ?? 0) ^ 1;
      return ike(other, from);
    });
    expect(await knock()).toBe(false);
  });

  it('leaves no socket behind', async () => {
    network.services.set(`${HUB}:4500`, ike);
    await knock();
    expect(network.sockets.size).toBe(0);
  });
});
