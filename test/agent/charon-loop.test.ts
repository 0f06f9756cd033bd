import { chmodSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { charonCredentials, requestDigest, type CharonCredentials } from '../../src/agent/charon-adapter.ts';
import { CharonLoop, type CharonLoopDeps } from '../../src/agent/charon-loop.ts';
import { systemClock } from '../../src/clock.ts';
import type { NodeEvent } from '../../src/control/report.ts';
import { section } from '../../src/ike/sections.ts';
import { digestOf } from '../../src/json.ts';
import { createLogger } from '../../src/log.ts';
import { Reconciler, type RoundResult, type Target } from '../../src/reconcile/loop.ts';
import { itemBytes, type ViciItem, type ViciSection, type ViciValue } from '../../src/vici/index.ts';
import { FakeCharon, SUCCESS, type FakeAnswer, type FakeHandler } from '../../src/vici/testing/index.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { desired, names, spoke, wishes } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { eventually } from '../vici/eventually.ts';
import { temporaryFolder } from './temporary-folder.ts';

const LATER_MS = 3_600_000;
const priorities = section({ critical: '0', high: '0', medium: '0', low: '0' });
const stats = (since: string, idle = '12'): ViciSection =>
  section({
    uptime: section({ running: '1 minute', since }),
    workers: section({ total: '16', idle, active: priorities }),
    queues: priorities,
    scheduled: '1',
    ikesas: section({ total: '0', 'half-open': '0' }),
    plugins: [],
  });
const listed = (fields: Readonly<Record<string, ViciValue>>): ViciSection => section(fields);
const hubSa = section({
  uniqueid: '1',
  version: '2',
  state: 'ESTABLISHED',
  'local-host': '192.168.1.2',
  'local-port': '4500',
  'local-id': 'edge1',
  'remote-host': '203.0.113.10',
  'remote-port': '4500',
  'remote-id': 'hub',
  'initiator-spi': '0000000000000001',
  'responder-spi': '0000000000000002',
  'child-sas': new Map(),
});

const answerWith =
  (reply: ViciSection): FakeHandler =>
  () =>
    reply;
const neverAnswer: FakeHandler = () => new Promise<FakeAnswer>(() => {});
const listOf =
  (...bodies: readonly ViciSection[]): FakeHandler =>
  (_request, client) => {
    for (const body of bodies) client.event('list-sa', body);
    return {};
  };

let charon: FakeCharon;

/** A charon that has the answers of a real one that has just started. */
async function startCharon(): Promise<FakeCharon> {
  const fake = await FakeCharon.start({ version: '5.9.8' });
  fake.on('stats', answerWith(stats('Nov 23 12:00:00 2026')));
  fake.on('load-cert', () => SUCCESS);
  fake.on('load-key', answerWith(section({ success: 'yes', id: 'aa' })));
  fake.on('initiate', () => SUCCESS);
  return fake;
}

beforeEach(async () => {
  charon = await startCharon();
  return () => charon[Symbol.asyncDispose]();
});

class Running {
  readonly rounds: RoundResult[] = [];
  readonly lost: string[] = [];
  readonly events: NodeEvent[] = [];
  /** What was learnt of whether charon answers. */
  readonly signs: string[] = [];
  readonly loop: CharonLoop;
  readonly stop: () => Promise<void>;

  constructor(target?: Target, viciSocket = charon.socketPath, change: Partial<CharonLoopDeps> = {}) {
    const credentials = charonCredentials({
      own: Uint8Array.of(1),
      ca: Uint8Array.of(2),
      privateKey: Uint8Array.of(3),
    });
    this.loop = new CharonLoop({
      viciSocket,
      answerMs: 10_000,
      resyncMs: LATER_MS,
      clock: systemClock,
      bootMs: () => systemClock.monotonicMs(),
      random: () => 0,
      logger: createLogger('test', 'silent'),
      reconciler: new Reconciler({ clock: systemClock, random: () => 0, ledger: undefined, saveLedger: () => true }),
      target: () => target,
      material: () => ({ credentials, crl: undefined }),
      routes: new MemoryRoutes(),
      prepare: () => Promise.resolve(),
      gate: () => wishes(),
      frozen: {
        answered: () => this.signs.push('answered'),
        gone: () => this.signs.push('gone'),
        unanswered: () => {
          this.signs.push('unanswered');
          return 'no answer';
        },
      },
      onFound: () => undefined,
      onRound: (round) => this.rounds.push(round),
      onLost: (problem) => this.lost.push(problem),
      onEvent: (event) => this.events.push(event),
      ...change,
    });
    const stopping = new AbortController();
    const ended = this.loop.run(stopping.signal);
    this.stop = () => {
      stopping.abort();
      return ended;
    };
    onTestFinished(this.stop);
  }
}

async function roundOf(running: Running, count: number): Promise<RoundResult> {
  await vi.waitUntil(() => running.rounds.length >= count, { timeout: 4000, interval: 2 });
  return running.rounds[count - 1]!;
}

const hubTarget: Target = { desired: desired(spoke()), steering: [], credentialsDigest: 'credentials', digestOf };

describe('a session with charon', () => {
  it('subscribes before its first look, which is a whole one', async () => {
    charon.on('get-conns', answerWith(section({ conns: [names.hub, 'office'] })));
    charon.on('list-sas', listOf(listed({ [names.hub]: hubSa }), listed({ office: hubSa })));
    const { observed } = await roundOf(new Running(), 1);
    expect(observed).toMatchObject({
      charonVersion: '5.9.8',
      charonSinceMs: Date.parse('Nov 23 12:00:00 2026'),
      idleWorkers: 12,
      connections: new Set([names.hub]),
      ikeSas: [{ name: names.hub, state: 'ESTABLISHED' }],
    });
    const registered = [...charon.clients].flatMap((client) => client.registered);
    expect(registered).toEqual(expect.arrayContaining(['ike-updown', 'child-updown']));
  });

  it('does without the alerts that came with strongSwan 6.0.3', async () => {
    expect(charon.knownEvents).not.toContain('alert');
    const running = new Running();
    await roundOf(running, 1);
    expect(running.lost).toEqual([]);
  });

  it('loads and initiates what is desired', async () => {
    const requests: string[] = [];
    charon.on('initiate', (request) => {
      requests.push([...request].map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(' '));
      return SUCCESS;
    });
    charon.on('get-keys', answerWith(section({ keys: ['aa'] })));
    charon.on('load-conn', (request) => {
      charon.on('get-conns', answerWith(section({ conns: [...request.keys()] })));
      return SUCCESS;
    });
    const running = new Running(hubTarget);
    await eventually(() => expect(requests).toEqual([`ike="${names.hub}" child="edge1--remote" timeout="-1"`]));
    const loads = charon.commands.filter((command) => command.startsWith('load'));
    expect(loads).toEqual(['load-cert', 'load-cert', 'load-key', 'load-conn']);
    expect(running.lost).toEqual([]);
  });

  it('loads in a round what the digests of the round are of, also when the credentials are renewed meanwhile', async () => {
    const none = Uint8Array.of(0);
    const withCa = (ca: number): CharonCredentials =>
      charonCredentials({ own: none, ca: Uint8Array.of(ca), privateKey: none });
    let credentials = withCa(1);
    const cas: unknown[] = [];
    charon.on('load-conn', (request) => {
      const connection = request.get(names.hub) as ViciSection;
      cas.push((connection.get('remote') as ViciSection).get('cacerts'));
      return SUCCESS;
    });
    const running = new Running(undefined, charon.socketPath, {
      target: () => {
        const now = credentials;
        const digestOf: Target['digestOf'] = (connection) => requestDigest(connection, now);
        return { desired: desired(spoke()), steering: [], credentialsDigest: now.digest, digestOf };
      },
      material: () => ({ credentials, crl: undefined }),
      gate: () => {
        credentials = withCa(2);
        return wishes();
      },
    });
    const { target, done } = await roundOf(running, 1);
    expect(target?.credentialsDigest).toBe(withCa(1).digest);
    expect(done.map(({ kind }) => kind)).toEqual(['load-credentials', 'load-conn']);
    expect((cas[0] as readonly ViciItem[]).map((ca) => [...itemBytes(ca)])).toEqual([[1]]);
  });

  it('takes charon’s “no” in its own words, and goes on', async () => {
    charon.on('load-conn', answerWith(section({ success: 'no', errmsg: 'invalid value for: id, config discarded' })));
    const running = new Running(hubTarget);
    const { refusals, notLoaded } = await roundOf(running, 1);
    expect(refusals).toEqual([
      { resource: names.hub, step: 'load', message: 'invalid value for: id, config discarded' },
    ]);
    expect(notLoaded).toEqual([names.hub]);
    expect(running.lost).toEqual([]);
  });

  it('looks again when charon tells of something', async () => {
    const running = new Running();
    await roundOf(running, 1);
    charon.emit('ike-updown', section({ up: 'yes', [names.hub]: hubSa }));
    await roundOf(running, 2);
    expect(running.events.map(({ kind }) => kind)).toEqual(['charon', 'ike-up']);
  });

  it('rests for twice as long as a long look took, whatever happens meanwhile, so that looking is never all that is done', async () => {
    const clock = new ManualClock();
    const startedMs: number[] = [];
    const running: Running = new Running(undefined, charon.socketPath, {
      clock,
      gate: () => {
        startedMs.push(performance.now());
        clock.advance(250);
        running.loop.trigger();
        return wishes();
      },
    });
    await eventually(() => expect(startedMs.length).toBeGreaterThanOrEqual(3));
    // Node's timers may fire a millisecond early.
    expect((startedMs[2] ?? 0) - (startedMs[0] ?? 0)).toBeGreaterThanOrEqual(2 * 500 - 2);
  });

  it('looks again when asked, and says when it has', async () => {
    const running = new Running();
    await roundOf(running, 1);
    await running.loop.refresh(LATER_MS);
    expect(running.rounds).toHaveLength(2);
  });

  it('does not wait for a charon that does not answer', async () => {
    const running = new Running();
    await roundOf(running, 1);
    charon.on('stats', neverAnswer);
    await running.loop.refresh(5);
    expect(running.rounds).toHaveLength(1);
  });
});

describe('a lost charon', () => {
  it('is told of, and found again', async () => {
    const running = new Running();
    await roundOf(running, 1);
    charon.hangUp();
    await roundOf(running, 2);
    expect(running.lost).toHaveLength(1);
    expect(running.events.filter(({ message }) => message === 'connected to charon')).toHaveLength(2);
  });

  it('that came back as another process is loaded again', async () => {
    charon.on('get-keys', answerWith(section({ keys: ['aa'] })));
    charon.on('load-conn', (request) => {
      charon.on('get-conns', answerWith(section({ conns: [...request.keys()] })));
      return SUCCESS;
    });
    const running = new Running(hubTarget);
    await eventually(() => expect(charon.commands).toContain('initiate'));
    charon.on('stats', answerWith(stats('Nov 23 12:30:00 2026')));
    charon.commands.length = 0;
    charon.hangUp();
    await eventually(() => expect(charon.commands).toContain('load-conn'));
    expect(running.lost).toHaveLength(1);
  });

  it.each<[string, ViciSection]>([
    ['SAs that cannot be read', listed({ [names.hub]: section({ uniqueid: 'x' }) })],
    ['an SA that is a text', listed({ [names.hub]: 'x' })],
  ])('is one with %s, and no round comes of it', async (_what, body) => {
    charon.on('list-sas', listOf(body));
    const running = new Running();
    await eventually(() => expect(running.lost.length).toBeGreaterThanOrEqual(3));
    expect(running.rounds).toEqual([]);
  });

  it('that is not there is named, and how to look at it', async () => {
    const socket = join(temporaryFolder(), 'charon.vici');
    const running = new Running(undefined, socket);
    await eventually(() => expect(running.lost[0]).toContain('systemctl status strongswan'));
    expect(running.lost[0]).toContain(socket);
    expect(existsSync(socket)).toBe(false);
  });

  it('that may not be spoken to is named', async () => {
    chmodSync(charon.socketPath, 0);
    const ownId = process.geteuid?.() ?? 0;
    // Root may speak to any socket, so for a moment this process is nobody.
    if (ownId === 0) process.seteuid?.(65_534);
    try {
      const running = new Running();
      await eventually(() => expect(running.lost[0]).toContain('no permission'));
    } finally {
      process.seteuid?.(ownId);
    }
  });

  it('that does not answer is not one that is gone', async () => {
    const running = new Running(undefined, charon.socketPath, { answerMs: 200 });
    await roundOf(running, 1);
    charon.on('stats', neverAnswer);
    running.loop.trigger();
    await eventually(() => expect(running.lost).toContain('no answer'));
    expect(new Set(running.signs)).toEqual(new Set(['answered', 'unanswered']));
    charon.on('stats', answerWith(stats('Nov 23 12:00:00 2026')));
    await eventually(() => expect(running.signs.at(-1)).toBe('answered'));
    await charon[Symbol.asyncDispose]();
    await eventually(() => expect(running.signs.at(-1)).toBe('gone'));
  });

  it('does not keep the agent from stopping', async () => {
    charon.on('stats', neverAnswer);
    const running = new Running();
    await eventually(() => expect(charon.commands).toContain('stats'));
    await running.stop();
    expect(running.lost).toEqual([]);
  });
});
