import { getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ViciClient } from '../../src/vici/client.ts';
import { encodeMessage } from '../../src/vici/message.ts';
import { encodePacket } from '../../src/vici/packet.ts';
import { encodeSegment } from '../../src/vici/segment.ts';
import type { ViciSession } from '../../src/vici/session.ts';
import { FakeCharon, NO_ANSWER, type Arrival } from '../../src/vici/testing/index.ts';
import { collect } from './collect.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

const CYCLES = 1000;
/** Cycles until caches are filled and code is compiled; the second measurement is compared with the one after these. */
const WARM_UP_CYCLES = 300;
/**
 * Some 6 KB for each of the cycles in between: less than a session with its sockets. Compiled code moves the heap by a
 * megabyte or two, in any direction; whether sessions stay behind is shown by weak references.
 */
const HEAP_GROWTH_BYTES_MAX = 4 * 1024 * 1024;
/** The engine itself may hold on to the last one, and to one that it met while compiling. */
const SESSIONS_LEFT_MAX = 5;
/** What only a finalizer lets go of takes a turn of the event loop and another collection. */
const COLLECTIONS = 4;

setFlagsFromString('--expose-gc');
const collectOnce = runInNewContext('gc') as () => void;

const HALF_A_REPLY = encodeSegment(
  encodePacket({ type: 'cmd-response', body: encodeMessage({ daemon: 'charon-systemd' }) }),
).subarray(0, 20);

async function collectGarbage(): Promise<void> {
  for (let round = 0; round < COLLECTIONS; round += 1) {
    collectOnce();
    await nextTurn();
  }
}

/** What a test does when charon is to die at a point, and which promise has to reject. */
interface DeathAt {
  readonly point: string;
  readonly provoke: (charon: FakeCharon, session: ViciSession, signal: AbortSignal) => Promise<unknown>;
}

/** Everybody is hung up on as soon as the wanted thing arrives, and the next ones are not. */
function dieAt(charon: FakeCharon, isWanted: (arrival: Arrival) => boolean): void {
  charon.onArrival((arrival) => {
    if (!isWanted(arrival)) return;
    charon.onArrival(() => {});
    charon.hangUp();
  });
}

const DEATHS: readonly DeathAt[] = [
  {
    point: 'before the reply',
    provoke: (charon, session, signal) => {
      dieAt(charon, (arrival) => arrival.type === 'request' && arrival.command === 'version');
      return session.call('version', {}, { signal });
    },
  },
  {
    point: 'before the reply to a slow command',
    provoke: (charon, session, signal) => {
      dieAt(charon, (arrival) => arrival.type === 'request' && arrival.command === 'initiate');
      return session.call('initiate', { child: 'net' }, { signal });
    },
  },
  {
    point: 'within the frame of a reply',
    provoke: (charon, session, signal) => {
      charon.on('version', (_request, client) => {
        charon.reset('version');
        client.sendBytes(HALF_A_REPLY);
        client.end();
        return NO_ANSWER;
      });
      return session.call('version', {}, { signal });
    },
  },
  {
    point: 'within a stream',
    provoke: (charon, session, signal) => {
      charon.on('initiate', (_request, client) => {
        charon.reset('initiate');
        for (let level = 0; level < 20; level += 1) client.event('control-log', { group: 'IKE', level, msg: 'x' });
        charon.hangUp();
        return NO_ANSWER;
      });
      return collect(session.stream('initiate', { child: 'net' }, { signal }));
    },
  },
  {
    point: 'between a registration and its confirmation',
    provoke: (charon, session, signal) => {
      dieAt(charon, (arrival) => arrival.type === 'registration' && arrival.event === 'control-log');
      return session.subscribe(['log', 'control-log'], { signal });
    },
  },
  {
    point: 'while a subscriber waits',
    provoke: async (charon, session, signal) => {
      const subscription = await session.subscribe(['log'], { signal });
      charon.hangUp();
      return collect(subscription);
    },
  },
  {
    point: 'while a connection is being made',
    provoke: (charon, session, signal) => {
      dieAt(charon, (arrival) => arrival.type === 'connection');
      return session.subscribe(['log'], { signal });
    },
  },
  {
    point: 'and comes back as another process',
    provoke: async (charon, session, signal) => {
      const held = charon.hold('stats');
      const call = session.call('stats', {}, { signal });
      // So that it has a listener before it rejects.
      const rejection = viciRejectionOf(call);
      await held.arrived();
      charon.reset('stats');
      await charon.restart();
      await rejection;
      return call;
    },
  },
];

describe('a charon that dies', () => {
  let charon: FakeCharon;
  let client: ViciClient;
  let shared: AbortController;
  beforeEach(async () => {
    charon = await FakeCharon.start();
    client = new ViciClient({ ...charon.address, random: () => 0 });
    shared = new AbortController();
  });
  afterEach(async () => {
    await client[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  const dieOnce = async ({ provoke }: DeathAt): Promise<WeakRef<ViciSession>> => {
    const session = await client.session();
    const error = await viciRejectionOf(provoke(charon, session, shared.signal));
    expect(error.code).toBe('connection-closed');
    await session.closed;
    return new WeakRef(session);
  };

  it.each(DEATHS)('$point is a typed error, and the client connects again', async (death) => {
    await dieOnce(death);
    expect(await client.call('version')).toMatchObject({ daemon: 'charon-systemd' });
  });

  /** Only the one connection ends on which it arrives, and only the first time; the others follow later. */
  const cutOnce = (isWanted: (arrival: Arrival) => boolean): void =>
    charon.onArrival((arrival, from) => {
      if (!isWanted(arrival)) return;
      charon.onArrival(() => {});
      from.hangUp();
    });

  it('is outlived by a watch whose own connections notice it first', async () => {
    cutOnce((arrival) => arrival.type === 'request' && arrival.command === 'list-sas');
    const watch = client.watchSas({ signal: shared.signal });
    expect((await watch.next()).value).toMatchObject({ type: 'resync' });
    await watch.return();
  });

  it('is outlived by events whose own connection notices it first', async () => {
    cutOnce((arrival) => arrival.type === 'registration' && arrival.event === 'log');
    const events = client.events(['log'], { signal: shared.signal });
    expect((await events.next()).value).toMatchObject({ name: 'resync' });
    await events.return();
  });

  /** What must not grow, once everything that was closed has gone. */
  const measure = async () => {
    await client.session();
    // The client's shared connection, and those of the two that watch.
    await eventually(() => expect(charon.clients.size).toBe(3));
    charon.commands.length = 0;
    await collectGarbage();
    return {
      descriptors: readdirSync('/proc/self/fd').length,
      listeners: getEventListeners(shared.signal, 'abort').length,
      timers: process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length,
      heapBytes: process.memoryUsage().heapUsed,
    };
  };

  it(`leaves nothing behind, ${CYCLES} times over`, { timeout: 60_000 }, async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const seen: string[] = [];
    const { signal } = shared;
    const events = (async () => {
      for await (const { name } of client.events(['ike-updown'], { signal })) if (name !== 'resync') seen.push(name);
    })();
    const watch = (async () => {
      for await (const { type } of client.watchSas({ signal })) if (type !== 'resync') seen.push(type);
    })();
    const ends = [viciRejectionOf(events), viciRejectionOf(watch)];

    const sessions: WeakRef<ViciSession>[] = [];
    const dieUntil = async (end: number): Promise<void> => {
      while (sessions.length < end) sessions.push(await dieOnce(DEATHS[sessions.length % DEATHS.length]!));
    };
    await dieUntil(WARM_UP_CYCLES);
    const before = await measure();
    await dieUntil(CYCLES);
    const after = await measure();

    expect({ ...after, heapBytes: 0 }).toEqual({ ...before, heapBytes: 0 });
    expect(sessions.filter((session) => session.deref() !== undefined).length).toBeLessThan(SESSIONS_LEFT_MAX);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
    expect(warnings).toEqual([]);
    charon.ikeUp({ name: 'still-watched' });
    await eventually(() => expect(seen.toSorted()).toEqual(['ike-up', 'ike-updown']));
    shared.abort();
    expect((await Promise.all(ends)).map(({ code }) => code)).toEqual(['aborted', 'aborted']);
    process.off('warning', onWarning);
  });
});
