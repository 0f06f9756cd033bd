import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMeshCa } from '../../src/identity/mesh-ca.ts';
import type { ViciCallCommand, ViciItemOf, ViciStreamCommand } from '../../src/vici/protocol/commands.ts';
import type { ViciConnConfig } from '../../src/vici/protocol/load-conn.ts';
import type { ViciRequest } from '../../src/vici/protocol/requests.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { STRONGSWAN_VERSIONS } from '../lab/strongswan.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

/** Debian 13's strongSwan is fetched when this machine does not have it yet. */
const FETCH_MS_MAX = 900_000;

const connection: ViciConnConfig = {
  version: 2,
  local_addrs: ['127.0.0.1'],
  remote_addrs: ['127.0.0.2'],
  local: { auth: 'psk', id: 'left' },
  remote: { auth: 'psk', id: 'right' },
  children: {
    net: { local_ts: ['10.1.0.0/24'], remote_ts: ['10.2.0.0/24'], policies: false },
    trap: { local_ts: ['127.0.0.1/32'], remote_ts: ['10.3.0.0/24'], policies: false },
  },
};

const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'der',
});
const ca = await createMeshCa({ mesh: 'lab', subject: 'C=CN, O=Local Cluster', nowMs: Date.now() });
const der = new Uint8Array(new X509Certificate(ca.certificatePem).raw);
const hexSha1 = expect.stringMatching(/^[0-9a-f]{40}$/) as string;

/** What charon answers: what the call resolves to, or its words of refusal. */
type Expected = { readonly reply: unknown } | { readonly refusal: string };
type Exchange<C extends ViciCallCommand> = { readonly request?: ViciRequest<C>; readonly expected: Expected };
const done: Expected = { reply: undefined };
const byPriority = { critical: expect.any(Number), high: 0, medium: expect.any(Number), low: 0 };

/** Every command, in an order in which each finds what it needs. A missing one does not compile. */
const calls: { readonly [C in ViciCallCommand]: Exchange<C> } = {
  version: {
    expected: { reply: { daemon: 'charon-systemd', version: expect.stringMatching(/^\d+\.\d+/), sysname: 'Linux' } },
  },
  stats: {
    expected: {
      reply: {
        uptime: {
          running: expect.stringMatching(/second/),
          since: expect.stringMatching(/^\w{3} \d\d \d\d:\d\d:\d\d 2/),
        },
        workers: { total: 16, idle: expect.any(Number), active: byPriority },
        queues: { critical: expect.any(Number) },
        ikesas: { total: 0, 'half-open': 0 },
        plugins: expect.arrayContaining(['vici']),
        mallinfo: { used: expect.any(Number) },
      },
    },
  },
  'reload-settings': { expected: done },
  'load-conn': { request: { one: connection }, expected: done },
  'get-conns': { expected: { reply: { conns: ['one'] } } },
  initiate: { request: { child: 'net', ike: 'one', timeout: -1 }, expected: done },
  install: { request: { child: 'trap', ike: 'one' }, expected: done },
  uninstall: { request: { child: 'absent' }, expected: { refusal: "policy 'absent' not found" } },
  rekey: { request: { ike: 'absent' }, expected: { refusal: 'no matching SAs to rekey found' } },
  redirect: {
    request: { ike: 'absent', gateway: '127.0.0.9' },
    expected: { refusal: 'no matching SAs to redirect found' },
  },
  terminate: { request: { ike: 'absent' }, expected: { refusal: 'no matching SAs to terminate found' } },
  'unload-conn': { request: { name: 'absent' }, expected: { refusal: "unload: connection 'absent' not found" } },
  'load-cert': { request: { type: 'X509', flag: 'CA', data: der }, expected: done },
  'load-key': { request: { type: 'any', data: privateKey }, expected: { reply: { id: hexSha1 } } },
  'get-keys': { expected: { reply: { keys: [hexSha1] } } },
  'unload-key': { request: { id: '00'.repeat(20) }, expected: { refusal: 'key not found' } },
  'load-token': { request: { handle: '01' }, expected: { refusal: 'loading private key from token failed' } },
  'load-shared': {
    request: { id: 'psk-1', type: 'IKE', data: Uint8Array.of(0xff, 0, 1), owners: ['left'] },
    expected: done,
  },
  'get-shared': { expected: { reply: { keys: ['psk-1'] } } },
  'unload-shared': { request: { id: 'psk-1' }, expected: done },
  'flush-certs': { request: { type: 'X509_CRL' }, expected: done },
  'load-authority': { request: { ca: { cacert: der, crl_uris: ['http://127.0.0.1/crl'] } }, expected: done },
  'get-authorities': { expected: { reply: { authorities: ['ca'] } } },
  'unload-authority': {
    request: { name: 'absent' },
    expected: { refusal: "unload: authority 'absent' not found" },
  },
  'load-pool': { request: { pool: { addrs: '10.9.0.0/24', dns: ['10.9.0.1'], 25: ['x.example'] } }, expected: done },
  'get-pools': {
    request: { leases: true },
    expected: {
      reply: new Map([
        [
          'pool',
          {
            base: expect.stringMatching(/^10\.9\.0\.[01]$/) as string,
            size: 254,
            online: 0,
            offline: 0,
            leases: new Map(),
          },
        ],
      ]),
    },
  },
  'unload-pool': { request: { name: 'pool' }, expected: done },
  'get-algorithms': { expected: { reply: expect.any(Map) } },
  'get-counters': {
    expected: { reply: { counters: new Map([['', expect.objectContaining({ size: 21 }) as unknown]]) } },
  },
  'reset-counters': { request: { all: true }, expected: done },
  'clear-creds': { expected: done },
};

type ListCommand = Exclude<ViciStreamCommand, ViciCallCommand>;
interface Listing<C extends ListCommand> {
  readonly request: ViciRequest<C>;
  readonly expected: object;
}
/** What is listed once the calls before `clear-creds` were made. */
const lists: { readonly [C in ListCommand]: Listing<C> } = {
  // There is no shared secret, so the set-up fails on this side before it has an event.
  'list-sas': { request: { ike: 'absent' }, expected: [] },
  'list-policies': {
    request: { trap: true, ike: 'one' },
    expected: [{ name: 'one/trap', child: 'trap', ike: 'one', mode: 'TUNNEL', 'remote-ts': ['10.3.0.0/24'] }],
  },
  'list-conns': {
    request: { ike: 'one' },
    expected: [
      {
        name: 'one',
        version: 'IKEv2',
        remote_addrs: ['127.0.0.2'],
        unique: 'UNIQUE_NO',
        local: [{ class: 'pre-shared key', id: 'left' }],
        remote: [{ class: 'pre-shared key', id: 'right' }],
      },
    ],
  },
  'list-certs': {
    request: { type: 'X509', flag: 'CA' },
    expected: [{ type: 'X509', flag: 'CA', has_privkey: false, data: der }],
  },
  'list-authorities': {
    request: { name: 'ca' },
    expected: [{ name: 'ca', cacert: 'C=CN, O=Local Cluster, CN=lab CA', crl_uris: ['http://127.0.0.1/crl'] }],
  },
};

const commands = Object.keys(calls) as ViciCallCommand[];

describe.skipIf(!canRunCharon).each(STRONGSWAN_VERSIONS)('strongSwan %s', (strongswan) => {
  let charon: CharonDaemon;
  let session: ViciSession;
  beforeAll(async () => {
    charon = await CharonDaemon.start({ strongswan });
    session = await ViciSession.connect({ socketPath: charon.socketPath });
  }, FETCH_MS_MAX);
  afterAll(async () => {
    await session[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  async function expectAnswer(command: ViciCallCommand): Promise<void> {
    const { request, expected }: Exchange<ViciCallCommand> = calls[command];
    const call = session.call(command, request);
    if ('refusal' in expected) {
      expect(await viciRejectionOf(call)).toMatchObject({ code: 'command-failed', detail: expected.refusal });
    } else if (typeof expected.reply === 'object' && !(expected.reply instanceof Map)) {
      expect(await call).toMatchObject(expected.reply as object);
    } else {
      expect(await call).toEqual(expected.reply);
    }
  }

  it.each(commands.slice(0, -1))('answers %s as the table says', (command) => expectAnswer(command));

  it.each(Object.keys(lists) as ListCommand[])('streams what %s is to list', async (command) => {
    const items: ViciItemOf<ListCommand>[] = [];
    for await (const item of session.stream(command, lists[command].request)) items.push(item);
    expect(items).toMatchObject(lists[command].expected);
  });

  it('streams the log of an initiate that fails, and then says so', async () => {
    const groups = new Set<string>();
    const reading = (async () => {
      for await (const { group } of session.stream('initiate', { child: 'net', ike: 'one', timeout: 5000 })) {
        groups.add(group);
      }
    })();
    expect((await viciRejectionOf(reading)).detail).toBe("establishing CHILD_SA 'net' failed");
    expect(groups).toContain('IKE');
  });

  it.each(commands.slice(-1))('answers %s at the end', async (command) => {
    await expectAnswer(command);
    expect(await session.call('get-keys')).toEqual({ keys: [] });
  });
});
