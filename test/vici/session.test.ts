import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeSegment } from '../../src/vici/segment.ts';
import { SLOW_COMMANDS_MAX, ViciSession, type ViciSessionOptions } from '../../src/vici/session.ts';
import { FakeCharon, NO_ANSWER } from '../../src/vici/testing/index.ts';
import { CONFIG } from './contract/connections.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

let charon: FakeCharon;
beforeEach(async () => {
  charon = await FakeCharon.start();
});
afterEach(async () => {
  await charon[Symbol.asyncDispose]();
});

const connect = (options: Partial<ViciSessionOptions> = {}): Promise<ViciSession> =>
  ViciSession.connect({ ...charon.address, ...options });

describe('connecting', () => {
  it('says that there is no charon', async () => {
    const error = await viciRejectionOf(connect({ socketPath: `${charon.socketPath}-absent` }));
    expect(error.code).toBe('connect-failed');
    expect(error.message).toContain('ENOENT');
  });

  it('says that nobody listens on the port', async () => {
    await using tcp = await FakeCharon.start({ transport: 'tcp' });
    await tcp.die();
    const error = await viciRejectionOf(ViciSession.connect(tcp.address));
    expect(error.code).toBe('connect-failed');
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('tries again while the backlog is full', async () => {
    await using tight = await FakeCharon.start({ backlog: 1 });
    const random = vi.fn<() => number>(() => 0.5);
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => ViciSession.connect({ ...tight.address, random })),
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
  it('return what is known of the reply', async () => {
    charon.on('get-conns', () => ({ conns: ['a', 'b'], 'new-key': 1 }));
    await using session = await connect();
    expect(await session.call('get-conns')).toEqual({ conns: ['a', 'b'] });
  });

  it('are sent before the answer to the last, and keep the order', async () => {
    const loads = charon.hold('load-conn');
    await using session = await connect({ windowMax: 3 });
    const settled: number[] = [];
    const calls = Array.from({ length: 10 }, async (_unused, index) => {
      await session.call('load-conn', { [`conn-${index}`]: CONFIG });
      settled.push(index);
    });
    await loads.arrived();
    await eventually(() => expect([...charon.clients].map((client) => client.packetsReceived)).toEqual([3]));
    expect(charon.commands).toEqual(['load-conn']);
    loads.open();
    await Promise.all(calls);
    expect(settled).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(charon.clientsMax).toBe(1);
  });

  it("turn charon's refusal into its own words", async () => {
    charon.refuse('load-conn', 'unknown option: up, config discarded');
    await using session = await connect();
    const error = await viciRejectionOf(session.call('load-conn', {}));
    expect(error).toMatchObject({
      code: 'command-failed',
      command: 'load-conn',
      detail: 'unknown option: up, config discarded',
      message: '[command-failed] load-conn: unknown option: up, config discarded',
    });
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('report a command that this charon lacks, and go on', async () => {
    charon.forget('reset-counters');
    await using session = await connect();
    const error = await viciRejectionOf(session.call('reset-counters'));
    expect(error).toMatchObject({ code: 'unknown-command', command: 'reset-counters' });
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('refuse a reply that does not fit, and go on', async () => {
    charon.on('version', () => ({ daemon: 'charon' }));
    await using session = await connect();
    expect((await viciRejectionOf(session.call('version'))).code).toBe('malformed-message');
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });
});

describe('any command', () => {
  it('can be sent, and its reply comes as it is', async () => {
    charon.on('of-another-plugin', (request) => ({ success: 'no', ...Object.fromEntries(request) }));
    await using session = await connect();
    const reply = await session.request('of-another-plugin', { number: 7, flag: true, list: ['a'], left: undefined });
    expect(reply).toEqual(
      new Map<string, unknown>([
        ['success', 'no'],
        ['number', '7'],
        ['flag', 'yes'],
        ['list', ['a']],
      ]),
    );
  });

  it.each(['bulk', 'slow'] as const)('has a connection of its own in the %s lane', async (lane) => {
    const held = charon.hold('version');
    await using session = await connect();
    const reply = session.request('version', {}, { lane });
    await held.arrived();
    expect(await session.call('stats')).toMatchObject({ ikesas: { total: 0 } });
    held.open();
    expect((await reply).get('daemon')).toBe('charon-systemd');
  });
});

describe('giving up', () => {
  it('sends nothing for a signal that has fired', async () => {
    await using session = await connect();
    const options = { signal: AbortSignal.abort() };
    expect((await viciRejectionOf(session.call('version', {}, options))).code).toBe('aborted');
    await session.call('get-conns');
    expect(charon.commands).toEqual(['get-conns']);
  });

  it('discards the reply in its turn', async () => {
    const stats = charon.hold('stats');
    await using session = await connect();
    const controller = new AbortController();
    const abandoned = viciRejectionOf(session.call('stats', {}, { signal: controller.signal }));
    const next = session.call('version');
    await stats.arrived();
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    stats.release();
    expect(await next).toMatchObject({ daemon: 'charon-systemd' });
  });

  it('takes a request back that is still waiting for the window', async () => {
    const stats = charon.hold('stats');
    await using session = await connect({ windowMax: 1 });
    const first = session.call('stats');
    const controller = new AbortController();
    const second = viciRejectionOf(session.call('reset-counters', {}, { signal: controller.signal }));
    const third = session.call('version');
    await stats.arrived();
    controller.abort();
    expect((await second).code).toBe('aborted');
    stats.release();
    await Promise.all([first, third]);
    expect(charon.commands).toEqual(['stats', 'version']);
  });

  it('still ends the session when the abandoned answer never comes', async () => {
    charon.hold('stats');
    await using session = await connect();
    const controller = new AbortController();
    const options = { signal: controller.signal, timeoutMs: 50 };
    const abandoned = viciRejectionOf(session.call('stats', {}, options));
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    expect((await session.closed).code).toBe('deadline-passed');
  });

  it('ends the session when a quick command misses its deadline, and a late answer harms nobody', async () => {
    const stats = charon.hold('stats');
    await using session = await connect();
    const late = viciRejectionOf(session.call('stats', {}, { timeoutMs: 30 }));
    const behind = viciRejectionOf(session.call('version'));
    expect((await late).code).toBe('deadline-passed');
    expect((await behind).code).toBe('connection-closed');
    expect((await session.closed).code).toBe('deadline-passed');
    stats.release();
    expect((await viciRejectionOf(session.call('get-conns'))).code).toBe('connection-closed');
    await eventually(() => expect(charon.clients.size).toBe(0));
  });
});

describe('slow commands', () => {
  it('do not hold up the quick ones', async () => {
    const initiate = charon.hold('initiate');
    await using session = await connect();
    const slow = viciRejectionOf(session.call('initiate', { child: 'net' }));
    await initiate.arrived();
    expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd' });
    await session[Symbol.asyncDispose]();
    expect((await slow).code).toBe('connection-closed');
  });

  it('run a few at once, and the others in their turn', async () => {
    charon.on('initiate', () => ({ success: 'yes' }));
    const initiate = charon.hold('initiate');
    await using session = await connect();
    const calls = Array.from({ length: 11 }, () => session.call('initiate', { child: 'net' }));
    await initiate.arrived(SLOW_COMMANDS_MAX);
    for (let released = 0; released < calls.length; released += 1) {
      await initiate.arrived();
      expect(initiate.waiting).toBeLessThanOrEqual(SLOW_COMMANDS_MAX);
      initiate.release();
    }
    await Promise.all(calls);
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('keep their place after an abort until charon has answered', async () => {
    const initiate = charon.hold('initiate');
    await using session = await connect();
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const abandoned = viciRejectionOf(session.call('initiate', { child: 'net' }, options));
    await initiate.arrived();
    controller.abort();
    expect((await abandoned).code).toBe('aborted');
    expect(charon.clients.size).toBe(2);
    initiate.release();
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('miss a deadline alone', async () => {
    charon.hold('terminate');
    await using session = await connect();
    const late = session.call('terminate', { ike: 'gw' }, { timeoutMs: 30 });
    expect((await viciRejectionOf(late)).code).toBe('deadline-passed');
    expect(await session.call('get-conns')).toEqual({ conns: [] });
    await eventually(() => expect(charon.clients.size).toBe(1));
  });

  it('do not wait for a place longer than their time-out', async () => {
    const initiate = charon.hold('initiate');
    await using session = await connect();
    const holders = Array.from({ length: SLOW_COMMANDS_MAX }, () =>
      viciRejectionOf(session.call('initiate', { child: 'net' })),
    );
    await initiate.arrived(SLOW_COMMANDS_MAX);
    const late = session.call('rekey', { ike: 'gw' }, { timeoutMs: 20 });
    expect((await viciRejectionOf(late)).code).toBe('queue-full');
    expect(charon.commands).not.toContain('rekey');
    const queued = viciRejectionOf(session.call('rekey', { ike: 'gw' }));
    await session[Symbol.asyncDispose]();
    expect((await queued).code).toBe('connection-closed');
    expect((await Promise.all(holders)).map((error) => error.code)).toEqual(holders.map(() => 'connection-closed'));
  });
});

describe('a peer that breaks the protocol', () => {
  const brokenBy = async (bytes: Uint8Array): Promise<string> => {
    charon.on('stats', (_request, client) => {
      client.sendBytes(bytes);
      return NO_ANSWER;
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
    charon.on('stats', (_request, client) => {
      client.sendBytes(Uint8Array.of(0, 0, 0, 9, 1, 1));
      client.end();
      return NO_ANSWER;
    });
    await using session = await connect();
    const error = await viciRejectionOf(session.call('stats'));
    expect(error.code).toBe('connection-closed');
    expect(error.detail).toContain('within a segment');
  });
});

describe('the end of a session', () => {
  it('is told when charon is gone, and rejects what waits', async () => {
    const stats = charon.hold('stats');
    await using session = await connect();
    const call = viciRejectionOf(session.call('stats'));
    await stats.arrived();
    charon.hangUp();
    expect((await call).code).toBe('connection-closed');
    expect((await session.closed).code).toBe('connection-closed');
    expect(session.isClosed).toBe(true);
  });

  it('may be asked for twice', async () => {
    const session = await connect();
    expect(session.isClosed).toBe(false);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    expect((await session.closed).detail).toBe('the session was closed');
    expect((await viciRejectionOf(session.call('get-conns'))).code).toBe('connection-closed');
    expect((await viciRejectionOf(session.call('initiate', { child: 'net' }))).code).toBe('connection-closed');
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
