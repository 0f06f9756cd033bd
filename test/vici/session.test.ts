import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SLOW_COMMANDS_MAX, ViciSession, type ViciSessionOptions } from '../../src/vici/session.ts';
import { encodeSegment } from '../../src/vici/segment.ts';
import { eventually } from './eventually.ts';
import { answerWith, FakeCharon, neverAnswer, success } from './fake-charon.ts';
import { viciRejectionOf } from './vici-error-of.ts';

let charon: FakeCharon;
beforeEach(async () => {
  charon = await FakeCharon.start();
});
afterEach(async () => {
  await charon[Symbol.asyncDispose]();
});

const connect = (options: Partial<ViciSessionOptions> = {}): Promise<ViciSession> =>
  ViciSession.connect({ socketPath: charon.socketPath, ...options });

const named = (name: string): ReadonlyMap<string, string> => new Map([['name', name]]);

describe('connecting', () => {
  it('says that there is no charon', async () => {
    const error = await viciRejectionOf(connect({ socketPath: `${charon.socketPath}-absent` }));
    expect(error.code).toBe('connect-failed');
    expect(error.message).toContain('ENOENT');
  });

  it('tries again while the backlog is full', async () => {
    await using tight = await FakeCharon.start(1);
    const random = vi.fn<() => number>(() => 0.5);
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => ViciSession.connect({ socketPath: tight.socketPath, random })),
    );
    await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()));
    expect(random).toHaveBeenCalled();
  });

  it('is abandoned by a signal', async () => {
    expect((await viciRejectionOf(connect({ signal: AbortSignal.abort() }))).code).toBe('aborted');
  });

  it.each([0, -1, 1.5, Number.NaN, Infinity])('refuses a time-out of %d', async (timeoutMs) => {
    expect((await viciRejectionOf(connect({ timeoutMs }))).code).toBe('invalid-request');
  });
});

describe('quick commands', () => {
  it('returns the reply as the schema has it', async () => {
    charon.on(
      'get-conns',
      answerWith(
        new Map<string, string | string[]>([
          ['conns', ['a', 'b']],
          ['new-key', '1'],
        ]),
      ),
    );
    await using session = await connect();
    expect(await session.call('get-conns')).toEqual({ conns: ['a', 'b'] });
  });

  it('sends the next request before the answer to the last, and keeps the order', async () => {
    let answerAll = (): void => {};
    charon.on('load-conn', async (client, request) => {
      if (request.get('name') === '0') await new Promise<void>((resolve) => (answerAll = resolve));
      client.respond(success);
    });
    await using session = await connect({ windowMax: 3 });
    const settled: number[] = [];
    const calls = Array.from({ length: 10 }, async (_unused, index) => {
      await session.call('load-conn', named(String(index)));
      settled.push(index);
    });
    await eventually(() => expect(charon.commands).toEqual(['load-conn']));
    answerAll();
    await Promise.all(calls);
    expect(settled).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(charon.clientsMax).toBe(1);
  });

  it('has no more requests on their way than the window holds', async () => {
    charon.on('load-conn', neverAnswer);
    await using session = await connect({ windowMax: 3 });
    const calls = Array.from({ length: 10 }, () => viciRejectionOf(session.call('load-conn')));
    await eventually(() => expect(charon.commands).toHaveLength(1));
    expect([...charon.clients].map((client) => client.packetsReceived)).toEqual([3]);
    charon.die();
    await Promise.all(calls);
  });

  it("turns charon's refusal into its own words", async () => {
    charon.on(
      'load-conn',
      answerWith(
        new Map([
          ['success', 'no'],
          ['errmsg', 'unknown option: up, config discarded'],
        ]),
      ),
    );
    await using session = await connect();
    const error = await viciRejectionOf(session.call('load-conn'));
    expect(error).toMatchObject({
      code: 'command-failed',
      command: 'load-conn',
      detail: 'unknown option: up, config discarded',
      message: '[command-failed] load-conn: unknown option: up, config discarded',
    });
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('reports a command that this charon lacks, and goes on', async () => {
    await using session = await connect();
    const error = await viciRejectionOf(session.call('reset-counters'));
    expect(error).toMatchObject({ code: 'unknown-command', command: 'reset-counters' });
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('refuses a reply that does not fit, and goes on', async () => {
    charon.on('version', answerWith(new Map([['daemon', 'charon']])));
    await using session = await connect();
    expect((await viciRejectionOf(session.call('version'))).code).toBe('malformed-message');
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it.each<[string, string, Map<string, string | Uint8Array | string[]>]>([
    ['a name', 'invalid-request', new Map([['\n', 'x']])],
    ['a value', 'invalid-request', new Map([['x', new Uint8Array(70_000)]])],
    ['the whole', 'segment-too-large', new Map([['x', Array.from({ length: 9 }, () => 'y'.repeat(65_000))]])],
  ])('sends nothing when %s does not fit', async (_what, code, request) => {
    await using session = await connect();
    expect((await viciRejectionOf(session.call('load-conn', request))).code).toBe(code);
    await session.call('get-conns');
    expect(charon.commands).toEqual(['get-conns']);
  });
});

describe('giving up', () => {
  it('sends nothing for a signal that has fired', async () => {
    await using session = await connect();
    const options = { signal: AbortSignal.abort() };
    expect((await viciRejectionOf(session.call('load-conn', undefined, options))).code).toBe('aborted');
    await session.call('get-conns');
    expect(charon.commands).toEqual(['get-conns']);
  });

  it('discards the reply in its turn', async () => {
    let answer = (): void => {};
    charon.on(
      'stats',
      (client) =>
        new Promise((resolve) => {
          answer = () => {
            client.respond(new Map([['belongs', 'to stats']]));
            resolve();
          };
        }),
    );
    charon.on('get-conns', answerWith(new Map([['conns', ['mine']]])));
    await using session = await connect();
    const controller = new AbortController();
    const abandoned = viciRejectionOf(session.call('stats', undefined, { signal: controller.signal }));
    const next = session.call('get-conns');
    await eventually(() => expect(charon.commands).toEqual(['stats']));
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    answer();
    expect(await next).toEqual({ conns: ['mine'] });
  });

  it('takes a request back that is still waiting for the window', async () => {
    let answer = (): void => {};
    charon.on('stats', async (client) => {
      await new Promise<void>((resolve) => (answer = resolve));
      client.respond(new Map());
    });
    await using session = await connect({ windowMax: 1 });
    const first = viciRejectionOf(session.call('stats'));
    const controller = new AbortController();
    const second = viciRejectionOf(session.call('unload-conn', undefined, { signal: controller.signal }));
    const third = session.call('get-conns');
    await eventually(() => expect(charon.commands).toEqual(['stats']));
    controller.abort();
    expect((await second).code).toBe('aborted');
    answer();
    await Promise.all([first, third]);
    expect(charon.commands).toEqual(['stats', 'get-conns']);
  });

  it('still ends the session when the abandoned answer never comes', async () => {
    charon.on('stats', neverAnswer);
    await using session = await connect();
    const controller = new AbortController();
    const options = { signal: controller.signal, timeoutMs: 50 };
    const abandoned = viciRejectionOf(session.call('stats', undefined, options));
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    expect((await session.closed).code).toBe('deadline-passed');
  });

  it('ends the session when a quick command misses its deadline', async () => {
    charon.on('stats', neverAnswer);
    await using session = await connect();
    const late = viciRejectionOf(session.call('stats', undefined, { timeoutMs: 30 }));
    const behind = viciRejectionOf(session.call('get-conns'));
    expect((await late).code).toBe('deadline-passed');
    expect((await behind).code).toBe('connection-closed');
    expect((await session.closed).code).toBe('deadline-passed');
    expect((await viciRejectionOf(session.call('get-conns'))).code).toBe('connection-closed');
    await eventually(() => expect(charon.clients.size).toBe(0));
  });
});

describe('slow commands', () => {
  it('do not hold up the quick ones', async () => {
    charon.on('initiate', neverAnswer);
    await using session = await connect();
    const slow = viciRejectionOf(session.call('initiate'));
    await eventually(() => expect(charon.commands).toEqual(['initiate']));
    expect(await session.call('get-conns')).toEqual({ conns: [] });
    await session[Symbol.asyncDispose]();
    expect((await slow).code).toBe('connection-closed');
  });

  it('run a few at once, and the others in their turn', async () => {
    const waiting: (() => void)[] = [];
    let running = 0;
    let runningMax = 0;
    charon.on('initiate', async (client) => {
      running += 1;
      runningMax = Math.max(runningMax, running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running -= 1;
      client.respond(success);
    });
    await using session = await connect();
    const calls = Array.from({ length: 11 }, () => session.call('initiate'));
    for (let done = 0; done < calls.length; done += 1) {
      await eventually(() => expect(waiting).not.toHaveLength(0));
      waiting.shift()?.();
    }
    await Promise.all(calls);
    expect(runningMax).toBe(SLOW_COMMANDS_MAX);
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('keep their place after an abort until charon has answered', async () => {
    let answer = (): void => {};
    charon.on('initiate', async (client) => {
      await new Promise<void>((resolve) => (answer = resolve));
      client.respond(success);
    });
    await using session = await connect();
    const controller = new AbortController();
    const abandoned = viciRejectionOf(session.call('initiate', undefined, { signal: controller.signal }));
    await eventually(() => expect(charon.commands).toEqual(['initiate']));
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    expect(charon.clients.size).toBe(2);
    answer();
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('miss a deadline alone', async () => {
    charon.on('terminate', neverAnswer);
    await using session = await connect();
    expect((await viciRejectionOf(session.call('terminate', undefined, { timeoutMs: 30 }))).code).toBe(
      'deadline-passed',
    );
    expect(await session.call('get-conns')).toEqual({ conns: [] });
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('do not wait for a place longer than their time-out', async () => {
    charon.on('initiate', neverAnswer);
    await using session = await connect();
    const holders = Array.from({ length: SLOW_COMMANDS_MAX }, () => viciRejectionOf(session.call('initiate')));
    await eventually(() => expect(charon.commands).toHaveLength(SLOW_COMMANDS_MAX));
    expect((await viciRejectionOf(session.call('rekey', undefined, { timeoutMs: 20 }))).code).toBe('deadline-passed');
    expect(charon.commands).not.toContain('rekey');
    const queued = viciRejectionOf(session.call('rekey'));
    await session[Symbol.asyncDispose]();
    expect((await queued).code).toBe('connection-closed');
    expect((await Promise.all(holders)).map((error) => error.code)).toEqual(holders.map(() => 'connection-closed'));
  });
});

describe('a peer that breaks the protocol', () => {
  const brokenBy = async (bytes: Uint8Array): Promise<string> => {
    charon.on('stats', (client) => {
      client.sendBytes(bytes);
      return new Promise(() => {});
    });
    await using session = await connect();
    const call = viciRejectionOf(session.call('stats'));
    const end = await session.closed;
    expect(['connection-closed', 'unknown-command', end.code]).toContain((await call).code);
    return end.code;
  };

  it.each<[string, string, Uint8Array]>([
    ['a packet of unknown type', 'malformed-message', encodeSegment(Uint8Array.of(9))],
    ['an empty segment', 'malformed-message', encodeSegment(new Uint8Array(0))],
    ['a length above the limit', 'segment-too-large', Uint8Array.of(0xff, 0, 0, 0)],
    ['a confirmation for a command', 'malformed-message', encodeSegment(Uint8Array.of(5))],
    ['a request', 'malformed-message', encodeSegment(Uint8Array.of(0, 1, 0x61))],
    ['an event that nobody asked for', 'malformed-message', encodeSegment(Uint8Array.of(7, 1, 0x61))],
    ['a response with a broken body', 'malformed-message', encodeSegment(Uint8Array.of(1, 2))],
    [
      'more answers than requests',
      'malformed-message',
      Buffer.concat([encodeSegment(Uint8Array.of(2)), encodeSegment(Uint8Array.of(2))]),
    ],
  ])('is left at %s', async (_what, code, bytes) => {
    expect(await brokenBy(bytes)).toBe(code);
  });

  it('is said to have hung up within a segment', async () => {
    charon.on('stats', (client) => {
      client.sendBytes(Uint8Array.of(0, 0, 0, 9, 1, 1));
      client.end();
    });
    await using session = await connect();
    const error = await viciRejectionOf(session.call('stats'));
    expect(error.code).toBe('connection-closed');
    expect(error.detail).toContain('within a segment');
  });
});

describe('the end of a session', () => {
  it('is told when charon is gone, and rejects what waits', async () => {
    charon.on('stats', neverAnswer);
    await using session = await connect();
    const call = viciRejectionOf(session.call('stats'));
    await eventually(() => expect(charon.commands).toEqual(['stats']));
    charon.die();
    expect((await call).code).toBe('connection-closed');
    expect((await session.closed).code).toBe('connection-closed');
  });

  it('may be asked for twice', async () => {
    const session = await connect();
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    expect((await session.closed).detail).toBe('the session was closed');
    expect((await viciRejectionOf(session.call('get-conns'))).code).toBe('connection-closed');
    expect((await viciRejectionOf(session.call('initiate'))).code).toBe('connection-closed');
    expect((await viciRejectionOf(session.subscribe(['log']))).code).toBe('connection-closed');
  });

  it('comes when the connection of a subscription is lost', async () => {
    await using session = await connect();
    await using subscription = await session.subscribe(['ike-updown']);
    for (const client of charon.clients) if (client.registered.length > 0) client.hangUp();
    expect((await session.closed).code).toBe('connection-closed');
    expect((await viciRejectionOf(subscription[Symbol.asyncIterator]().next())).code).toBe('connection-closed');
  });
});
