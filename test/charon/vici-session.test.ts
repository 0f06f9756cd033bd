import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VICI_EVENTS, type ViciEventName } from '../../src/vici/events.ts';
import type { ViciSection, ViciValue } from '../../src/vici/message.ts';
import { ViciSession } from '../../src/vici/session.ts';
import type { ViciError } from '../../src/vici/vici-error.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

const COUNT = 200;
const nameOf = (index: number): string => `conn-${String(index).padStart(3, '0')}`;
const names = Array.from({ length: COUNT }, (_unused, index) => nameOf(index));

function connection(name: string): ViciSection {
  const options: ViciSection = new Map<string, ViciValue>([
    ['remote_addrs', ['127.0.0.2']],
    ['local', new Map([['auth', 'pubkey']])],
    ['remote', new Map([['auth', 'pubkey']])],
    ['children', new Map([['net', new Map([['remote_ts', ['10.2.0.0/24']]])]])],
  ]);
  return new Map([[name, options]]);
}

/** 6.0.3 brought `alert`; everything else is as old as 5.9.8. */
async function unknownEvents(session: ViciSession): Promise<ViciEventName[]> {
  const unknown: ViciEventName[] = [];
  for (const event of VICI_EVENTS) {
    try {
      await (await session.subscribe([event]))[Symbol.asyncDispose]();
    } catch (error) {
      expect((error as ViciError).code).toBe('unknown-event');
      unknown.push(event);
    }
  }
  return unknown;
}

describe.skipIf(!canRunCharon)('a session with a real charon', () => {
  let charon: CharonDaemon;
  beforeAll(async () => {
    charon = await CharonDaemon.start();
  });
  afterAll(async () => {
    await charon[Symbol.asyncDispose]();
  });
  const connect = (): Promise<ViciSession> => ViciSession.connect({ socketPath: charon.socketPath });

  it('pipelines 200 loads, reads them back, leaves a list early, and unloads them', async () => {
    await using session = await connect();
    const loads = names.map((name) => session.call('load-conn', connection(name)));
    const listed = session.call('get-conns');
    await Promise.all(loads);
    expect((await listed).conns.toSorted()).toEqual(names);

    for await (const body of session.stream('list-conns')) {
      expect(names).toContain([...body.keys()][0]);
      break;
    }
    const seen: string[] = [];
    for await (const body of session.stream('list-conns')) seen.push(...body.keys());
    expect(seen.toSorted()).toEqual(names);

    await Promise.all(names.map((name) => session.call('unload-conn', new Map([['name', name]]))));
    expect((await session.call('get-conns')).conns).toEqual([]);
  });

  it('registers for every event that this version has', async () => {
    await using session = await connect();
    const { version } = await session.call('version');
    const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
    const hasAlert = major * 10_000 + minor * 100 + patch >= 60_003;
    expect(await unknownEvents(session)).toEqual(hasAlert ? [] : ['alert']);
  });

  it('receives events while commands run elsewhere', async () => {
    await using session = await connect();
    await using subscription = await session.subscribe(['log']);
    await session.call('load-conn', connection('logged'));
    for await (const event of subscription) {
      if (event.body.get('msg') === 'added vici connection: logged') break;
    }
    await session.call('unload-conn', new Map([['name', 'logged']]));
  });

  it('opens more connections at once than its backlog holds', async () => {
    const sessions = await Promise.all(Array.from({ length: 30 }, connect));
    const versions = await Promise.all(sessions.map((session) => session.call('version')));
    expect(new Set(versions.map(({ version }) => version)).size).toBe(1);
    await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()));
  });

  it('says that a refused option is unknown, in the words of charon', async () => {
    await using session = await connect();
    const misspelt = new Map([['typo', new Map([['remote_adrs', '127.0.0.2']])]]);
    expect(await viciRejectionOf(session.call('load-conn', misspelt))).toMatchObject({
      code: 'command-failed',
      detail: 'unknown option: remote_adrs, config discarded',
    });
  });

  it('ends when charon is killed, and a new one begins with the next charon', async () => {
    await using session = await connect();
    await using subscription = await session.subscribe(['ike-updown']);
    const next = viciRejectionOf(subscription[Symbol.asyncIterator]().next());
    await charon.restart();
    expect((await session.closed).code).toBe('connection-closed');
    expect((await next).code).toBe('connection-closed');
    await using successor = await connect();
    expect((await successor.call('get-conns')).conns).toEqual([]);
  });
});
