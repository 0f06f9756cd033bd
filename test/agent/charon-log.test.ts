import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { followCharonLog } from '../../src/agent/charon-log.ts';
import { ViciClient, type ViciLogLine } from '../../src/vici/index.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { eventually } from '../vici/eventually.ts';

const line = (msg: string) => ({ group: 'IKE', level: 1, thread: 7, 'ikesa-name': 'cygnet-a', msg });

describe('the log of charon', () => {
  let charon: FakeCharon;
  let seen: string[];
  let following: Promise<void>;
  let stop: AbortController;

  beforeEach(async () => {
    charon = await FakeCharon.start();
    const client = new ViciClient({ socketPath: charon.socketPath, random: () => 0 });
    stop = new AbortController();
    seen = [];
    const subscribed = new Promise<void>((resolve) => {
      const onGap = (): void => {
        seen.push('gap');
        resolve();
      };
      const deps = { client, onLine: ({ msg }: ViciLogLine) => seen.push(msg), onGap, linesWaitingMax: 100 };
      following = followCharonLog(deps, stop.signal);
    });
    onTestFinished(async () => {
      stop.abort();
      await following;
      await client[Symbol.asyncDispose]();
      await charon[Symbol.asyncDispose]();
    });
    await subscribed;
  });

  it('arrives line by line, after a gap at the beginning', async () => {
    for (const msg of ['one', 'two']) charon.emit('log', line(msg));
    await eventually(() => expect(seen).toEqual(['gap', 'one', 'two']));
  });

  it('ends when it is told to', async () => {
    stop.abort();
    await expect(following).resolves.toBeUndefined();
  });

  it('goes on behind a burst that is too much', async () => {
    for (let number = 0; number < 1000; number += 1) charon.emit('log', line('burst'));
    await eventually(() => expect(seen).toEqual(['gap', 'gap']));
    charon.emit('log', line('later'));
    await eventually(() => expect(seen.at(-1)).toBe('later'));
  });

  it('goes on behind a loss of charon', async () => {
    for (const client of charon.clients) client.end();
    await eventually(() => expect(seen).toEqual(['gap', 'gap']));
    charon.emit('log', line('later'));
    await eventually(() => expect(seen.at(-1)).toBe('later'));
  });
});
