import { describe, expect, it } from 'vitest';
import { EventLog } from '../../src/agent/event-log.ts';
import { numbered } from './node-events.ts';

const never = new AbortController().signal;

describe('the event log', () => {
  it('keeps the newest thousand, oldest first', () => {
    const log = new EventLog();
    for (let number = 1; number <= 1005; number += 1) log.add(numbered(number));
    expect(log.kept()).toHaveLength(1000);
    expect(log.kept()[0]).toEqual(numbered(6));
    expect(log.kept().at(-1)).toEqual(numbered(1005));
  });

  it('cuts a message that no frame would carry', () => {
    const log = new EventLog();
    log.add({ ...numbered(1), message: 'x'.repeat(5000) });
    expect(log.kept()[0]?.message).toHaveLength(1000);
  });

  it('calls a listener until that is stopped', () => {
    const log = new EventLog();
    const heard: number[] = [];
    const stop = log.listen(({ atMs }) => heard.push(atMs));
    log.add(numbered(1));
    stop();
    log.add(numbered(2));
    expect(heard).toEqual([1]);
  });
});

describe('a follower', () => {
  it('gets what comes after its call, in order, whether it waits or lags', async () => {
    const log = new EventLog();
    log.add(numbered(1));
    const follower = log.follow(never);
    log.add(numbered(2));
    log.add(numbered(3));
    expect((await follower.next()).value).toEqual(numbered(2));
    expect((await follower.next()).value).toEqual(numbered(3));
    const waiting = follower.next();
    log.add(numbered(4));
    expect((await waiting).value).toEqual(numbered(4));
  });

  it('that is too slow is cut off with an error, and no longer kept for', async () => {
    const log = new EventLog();
    const follower = log.follow(never);
    for (let number = 0; number <= 1000; number += 1) log.add(numbered(number));
    await expect(follower.next()).rejects.toThrow('events behind');
    expect(await follower.next()).toEqual({ done: true, value: undefined });
  });

  it('that lags by less gets everything', async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const follower = log.follow(stop.signal);
    for (let number = 0; number < 1000; number += 1) log.add(numbered(number));
    const got: number[] = [];
    for await (const { atMs } of follower) {
      got.push(atMs);
      if (got.length === 1000) stop.abort();
    }
    expect(got).toEqual(Array.from({ length: 1000 }, (_, number) => number));
  });

  it('ends when it is told to, waiting or not', async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const follower = log.follow(stop.signal);
    const waiting = follower.next();
    stop.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await log.follow(stop.signal).next()).toEqual({ done: true, value: undefined });
  });
});
