import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ViciEvent } from '../../src/vici/protocol/events.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

let charon: FakeCharon;
let session: ViciSession;
beforeEach(async () => {
  charon = await FakeCharon.start();
  session = await ViciSession.connect(charon.address);
});
afterEach(async () => {
  await session[Symbol.asyncDispose]();
  await charon[Symbol.asyncDispose]();
});

/** A line of the log whose level is the number. */
const numbered = (level: number) => ({ group: 'CFG', level, thread: 1, msg: 'x' });

const levelOf = (event: ViciEvent): number => ('level' in event.body ? event.body.level : Number.NaN);

describe('a subscription', () => {
  it('exists only once charon has confirmed every event', async () => {
    await using subscription = await session.subscribe(['ike-updown', 'child-updown']);
    expect(subscription).toBeDefined();
    expect([...charon.clients].flatMap((client) => client.registered)).toEqual(['ike-updown', 'child-updown']);
  });

  it('registers an event once, however often it is named', async () => {
    await using subscription = await session.subscribe(['log', 'log']);
    charon.emit('log', numbered(1));
    charon.emit('log', numbered(2));
    const events = subscription[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ name: 'log', body: numbered(1) });
    expect((await events.next()).value).toMatchObject({ name: 'log', body: numbered(2) });
  });

  it('delivers what came before the last confirmation', async () => {
    const pending = session.subscribe(['log', 'ike-updown']);
    await eventually(() => {
      charon.emit('log', numbered(1));
      expect([...charon.clients].some((client) => client.registered.includes('log'))).toBe(true);
    });
    charon.emit('log', numbered(2));
    await using subscription = await pending;
    for await (const event of subscription) {
      expect(event.name).toBe('log');
      break;
    }
  });

  it('fails for an event that this charon lacks, and the session goes on', async () => {
    charon.knownEvents.delete('alert');
    expect((await viciRejectionOf(session.subscribe(['ike-updown', 'alert']))).code).toBe('unknown-event');
    await eventually(() => expect(charon.clients.size).toBe(1));
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('does without optional events that this charon lacks', async () => {
    charon.knownEvents.delete('alert');
    await using subscription = await session.subscribe(['ike-updown'], { optional: ['alert', 'log'] });
    expect([...subscription.events]).toEqual(['ike-updown', 'log']);
  });

  it('delivers what has arrived before it tells that charon is gone', async () => {
    const subscription = await session.subscribe(['log']);
    for (const client of charon.clients) {
      for (const number of [1, 2, 3]) client.event('log', numbered(number));
      if (client.registered.length > 0) client.end();
    }
    const levels: number[] = [];
    const reading = (async () => {
      for await (const event of subscription) levels.push(levelOf(event));
    })();
    expect((await viciRejectionOf(reading)).code).toBe('connection-closed');
    expect(levels).toEqual([1, 2, 3]);
  });

  it('fails when its consumer falls behind, and the session goes on', async () => {
    const subscription = await session.subscribe(['log'], { capacity: 2 });
    for (const number of [1, 2, 3]) charon.emit('log', numbered(number));
    await eventually(() => expect(charon.clients.size).toBe(1));
    expect((await viciRejectionOf(subscription[Symbol.asyncIterator]().next())).code).toBe('events-overflow');
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('loses nothing while its consumer keeps up', async () => {
    await using subscription = await session.subscribe(['log'], { capacity: 1000 });
    for (let number = 0; number < 1000; number += 1) charon.emit('log', numbered(number));
    const levels: number[] = [];
    for await (const event of subscription) if (levels.push(levelOf(event)) === 1000) break;
    expect(levels).toEqual(Array.from({ length: 1000 }, (_unused, number) => number));
  });

  it('is closed by leaving the loop', async () => {
    const subscription = await session.subscribe(['log']);
    charon.emit('log', numbered(1));
    for await (const event of subscription) {
      expect(event.body).toMatchObject(numbered(1));
      break;
    }
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('ends its loop when it is disposed, once or twice', async () => {
    const subscription = await session.subscribe(['log']);
    const next = subscription[Symbol.asyncIterator]().next();
    await subscription[Symbol.asyncDispose]();
    await subscription[Symbol.asyncDispose]();
    expect((await next).done).toBe(true);
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('ends with its signal, while it waits', async () => {
    const controller = new AbortController();
    const subscription = await session.subscribe(['log'], { signal: controller.signal });
    const next = viciRejectionOf(subscription[Symbol.asyncIterator]().next());
    controller.abort();
    expect((await next).code).toBe('aborted');
    await eventually(() => expect(charon.clients.size).toBe(1));
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('does not begin when its signal has fired', async () => {
    const options = { signal: AbortSignal.abort() };
    expect((await viciRejectionOf(session.subscribe(['log'], options))).code).toBe('aborted');
    expect(charon.clients.size).toBe(1);
  });
});
