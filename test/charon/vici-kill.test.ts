import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ViciClient } from '../../src/vici/client.ts';
import type { ViciSession } from '../../src/vici/session.ts';
import type { ViciErrorCode } from '../../src/vici/vici-error.ts';
import { collect } from '../vici/collect.ts';
import { CONFIG, numberedNames } from '../vici/contract/connections.ts';
import { eventually } from '../vici/eventually.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

/** Each kills the real daemon once. */
const ROUNDS = 10;
const NAMES = numberedNames('conn', 2000);

/** What is under way when charon is killed; resolves when it is time to. */
interface Deed {
  readonly deed: string;
  /** What it may end with. A subscription has a connection of its own, which may not be made yet. */
  readonly endsWith: readonly ViciErrorCode[];
  readonly begin: (session: ViciSession) => Promise<{ readonly outcome: Promise<unknown> }>;
}

const DEEDS: readonly Deed[] = [
  {
    deed: '1,000 requests are on their way',
    endsWith: ['connection-closed'],
    begin: async (session) => ({ outcome: Promise.all(Array.from({ length: 1000 }, () => session.call('stats'))) }),
  },
  {
    deed: 'a list is being read',
    endsWith: ['connection-closed'],
    begin: async (session) => {
      const list = session.stream('list-conns');
      await list.next();
      return { outcome: collect(list) };
    },
  },
  {
    deed: 'events are being registered',
    endsWith: ['connection-closed', 'connect-failed'],
    begin: async (session) => ({ outcome: session.subscribe(['log', 'ike-updown', 'child-updown']).then(collect) }),
  },
  {
    deed: 'connections are being made',
    endsWith: ['connection-closed', 'connect-failed'],
    begin: async (session) => ({
      outcome: Promise.all([1, 2, 3, 4].map(() => session.subscribe(['log']).then(collect))),
    }),
  },
];

describe.skipIf(!canRunCharon)('a real charon that is killed', () => {
  let charon: CharonDaemon;
  let client: ViciClient;
  let seen: string[];
  let watching: AbortController;
  beforeAll(async () => {
    charon = await CharonDaemon.start();
    // Lives that are this short count as failed attempts, which would be further and further apart.
    client = new ViciClient({ socketPath: charon.socketPath, random: () => 0.02 });
    seen = [];
    watching = new AbortController();
  });
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  const killOnce = async ({ begin, endsWith }: Deed): Promise<void> => {
    const session = await client.session();
    await Promise.all(NAMES.map((name) => session.call('load-conn', { [name]: CONFIG })));
    const { outcome } = await begin(session);
    const error = viciRejectionOf(outcome);
    await charon.restart();
    expect(endsWith).toContain((await error).code);
    expect((await session.closed).code).toBe('connection-closed');
  };

  it.each(DEEDS)('while $deed ends it with a typed error, and the client connects again', async (deed) => {
    await killOnce(deed);
    expect((await client.call('get-conns')).conns).toEqual([]);
  });

  it(`takes nothing with it, ${ROUNDS * DEEDS.length} times over`, async () => {
    const { signal } = watching;
    const watch = (async () => {
      for await (const { type } of client.watchSas({ signal })) seen.push(type);
    })();
    const end = viciRejectionOf(watch);
    await eventually(() => expect(seen).toEqual(['resync']));
    const descriptors = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < ROUNDS; round += 1) for (const deed of DEEDS) await killOnce(deed);
    await client.session();
    await eventually(() => expect(readdirSync('/proc/self/fd').length).toBe(descriptors));
    expect(new Set(seen)).toEqual(new Set(['resync']));
    watching.abort();
    expect((await end).code).toBe('aborted');
  });
});
