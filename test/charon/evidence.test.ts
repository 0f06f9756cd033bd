import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { followCharonLog } from '../../src/agent/charon-log.ts';
import { evidenceOf } from '../../src/paths/evidence.ts';
import { ViciClient } from '../../src/vici/index.ts';
import { inWords, PROVEN } from '../paths/proven-evidence.ts';
import { canRunCharon } from './charon-daemon.ts';
import { CharonPair } from './charon-pair.ts';
import { CONNECTION, FAILING_SETUPS, loadBoth, unload, type FailingSetup } from './failing-setups.ts';

/** A peer that is not there is given up after 0.84 s. */
const SHORT_RETRANSMISSION = 'retransmit_tries = 1\nretransmit_timeout = 0.3';
const INITIATE_MS_MAX = 5000;

describe.runIf(canRunCharon)('what the logs of two real charons prove', () => {
  const stop = new AbortController();
  const proven: Record<'left' | 'right', string[]> = { left: [], right: [] };
  const followers: Promise<void>[] = [];
  const clients: ViciClient[] = [];
  let pair: CharonPair;
  let left: ViciClient;
  let right: ViciClient;

  const clientOf = (socketPath: string): ViciClient => {
    const client = new ViciClient({ socketPath });
    clients.push(client);
    return client;
  };

  /** Resolves when the subscription stands. */
  const follow = (end: 'left' | 'right'): Promise<void> =>
    new Promise((resolve) => {
      const onLine = (line: Parameters<typeof evidenceOf>[0]): void => {
        const evidence = evidenceOf(line);
        if (evidence !== undefined && !evidence.isHint && proven[end].at(-1) !== inWords(evidence)) {
          proven[end].push(inWords(evidence));
        }
      };
      const client = clientOf(pair[end].socketPath);
      followers.push(followCharonLog({ client, onLine, onGap: resolve }, stop.signal));
    });

  beforeAll(async () => {
    pair = await CharonPair.start({ settings: SHORT_RETRANSMISSION });
    left = clientOf(pair.left.socketPath);
    right = clientOf(pair.right.socketPath);
    await Promise.all([follow('left'), follow('right')]);
  });

  afterAll(async () => {
    stop.abort();
    await Promise.all(followers);
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await pair[Symbol.asyncDispose]();
  });

  it.each(Object.entries<FailingSetup>(FAILING_SETUPS))('of %s', async (scenario, setup) => {
    const [leftSession, rightSession] = await Promise.all([left.session(), right.session()]);
    await loadBoth(leftSession, rightSession, setup);
    Object.assign(proven, { left: [], right: [] });
    const initiate = { child: CONNECTION, timeout: INITIATE_MS_MAX };
    const reply = await leftSession.request('initiate', initiate, { lane: 'slow' });
    expect(reply.get('success')).toBe('no');
    await expect.poll(() => proven, { timeout: 5000 }).toEqual({ left: [], right: [], ...PROVEN[scenario] });
    await Promise.all([unload(leftSession), unload(rightSession)]);
  });
});
