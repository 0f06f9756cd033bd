import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMeshCa } from '../../src/identity/mesh-ca.ts';
import type { ViciCallCommand, ViciStreamCommand } from '../../src/vici/commands.ts';
import { itemBytes, type ViciItem, type ViciSection, type ViciValue } from '../../src/vici/message.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

const request = (...entries: [string, ViciValue][]): ViciSection => new Map(entries);

const connection = (name: string): ViciSection =>
  request([
    name,
    request(
      ['version', '2'],
      ['local_addrs', ['127.0.0.1']],
      ['remote_addrs', ['127.0.0.2']],
      ['local', request(['auth', 'psk'], ['id', 'left'])],
      ['remote', request(['auth', 'psk'], ['id', 'right'])],
      ['children', request(['net', request(['local_ts', ['10.1.0.0/24']], ['remote_ts', ['10.2.0.0/24']])])],
    ),
  ]);

const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'der',
});

async function certificate(): Promise<Uint8Array> {
  const ca = await createMeshCa({ mesh: 'lab', subject: 'C=CN, O=Local Cluster', nowMs: Date.now() });
  return new Uint8Array(new X509Certificate(ca.certificatePem).raw);
}

/** What charon 5.9.8 answers: fields of the reply, or its words of refusal. */
type Expected = { readonly reply: object } | { readonly refusal: string };
interface Exchange {
  readonly request?: ViciSection;
  readonly expected: Expected;
}
const done: Expected = { reply: { success: 'yes' } };
const secret = request(['id', 'psk-1'], ['type', 'IKE'], ['data', Uint8Array.of(0xff, 0, 1)], ['owners', ['left']]);

/** Every command, in an order in which each finds what it needs. A missing one does not compile. */
const calls: { readonly [C in ViciCallCommand]: Exchange } = {
  version: { expected: { reply: { daemon: 'charon-systemd', version: expect.stringMatching(/^\d+\.\d+/) } } },
  stats: {
    expected: {
      reply: {
        workers: {
          total: 16,
          idle: expect.any(Number),
          active: { critical: expect.any(Number), high: 0, medium: expect.any(Number), low: 0 },
        },
        plugins: expect.arrayContaining(['vici']),
      },
    },
  },
  'reload-settings': { expected: done },
  'load-conn': { request: connection('one'), expected: done },
  'get-conns': { expected: { reply: { conns: ['one'] } } },
  initiate: { request: request(['child', 'net'], ['ike', 'one'], ['timeout', '-1']), expected: done },
  install: { request: request(['child', 'absent']), expected: { refusal: 'configuration name not found' } },
  uninstall: { request: request(['child', 'absent']), expected: { refusal: "policy 'absent' not found" } },
  rekey: { request: request(['ike', 'absent']), expected: { refusal: 'no matching SAs to rekey found' } },
  redirect: { request: request(['ike', 'absent']), expected: { refusal: 'missing target gateway' } },
  terminate: { request: request(['ike', 'absent']), expected: { refusal: 'no matching SAs to terminate found' } },
  'unload-conn': {
    request: request(['name', 'absent']),
    expected: { refusal: "unload: connection 'absent' not found" },
  },
  'load-cert': {
    request: request(['type', 'X509'], ['data', 'none']),
    expected: { refusal: 'parsing X509 certificate failed' },
  },
  'load-key': {
    request: request(['type', 'any'], ['data', privateKey]),
    expected: { reply: { id: expect.stringMatching(/^[0-9a-f]{40}$/) } },
  },
  'get-keys': { expected: { reply: { keys: [expect.stringMatching(/^[0-9a-f]{40}$/)] } } },
  'unload-key': { request: request(['id', '00'.repeat(20)]), expected: { refusal: 'key not found' } },
  'load-token': { expected: { refusal: 'keyid missing' } },
  'load-shared': { request: secret, expected: done },
  'get-shared': { expected: { reply: { keys: ['psk-1'] } } },
  'unload-shared': { request: request(['id', 'psk-1']), expected: done },
  'flush-certs': { expected: done },
  'clear-creds': { expected: done },
  'load-authority': {
    request: request(['ca', request(['crl_uris', ['http://127.0.0.1/crl']])]),
    expected: { refusal: 'CA certificate missing: ca' },
  },
  'get-authorities': { expected: { reply: { authorities: [] } } },
  'unload-authority': {
    request: request(['name', 'absent']),
    expected: { refusal: "unload: authority 'absent' not found" },
  },
  'load-pool': { request: request(['pool', request(['addrs', '10.9.0.0/24'], ['dns', ['10.9.0.1']])]), expected: done },
  'get-pools': {
    request: request(['leases', 'yes']),
    expected: { reply: new Map([['pool', { base: '10.9.0.0', size: 254, online: 0, offline: 0, leases: new Map() }]]) },
  },
  'unload-pool': { request: request(['name', 'pool']), expected: done },
  'get-algorithms': { expected: { reply: expect.any(Map) } },
  'get-counters': { expected: { reply: { counters: new Map([['', expect.any(Map)]]) } } },
  'reset-counters': { expected: done },
};

type ListCommand = Exclude<ViciStreamCommand, ViciCallCommand>;
const lists: { readonly [C in ListCommand]: ViciSection } = {
  'list-sas': request(),
  'list-policies': request(['trap', 'yes'], ['pass', 'yes'], ['drop', 'yes']),
  'list-conns': request(),
  'list-certs': request(),
  'list-authorities': request(),
};

describe.skipIf(!canRunCharon)('a real charon', () => {
  let charon: CharonDaemon;
  let session: ViciSession;
  beforeAll(async () => {
    charon = await CharonDaemon.start();
    session = await ViciSession.connect({ socketPath: charon.socketPath });
  });
  afterAll(async () => {
    await session[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  it.each(Object.entries(calls) as [ViciCallCommand, Exchange][])(
    'answers %s as the table says',
    async (command, exchange) => {
      const call = session.call(command, exchange.request);
      if ('reply' in exchange.expected) {
        const { reply } = exchange.expected;
        if (reply instanceof Map) expect(await call).toEqual(reply);
        else expect(await call).toMatchObject(reply);
      } else {
        expect(await viciRejectionOf(call)).toMatchObject({
          code: 'command-failed',
          detail: exchange.expected.refusal,
        });
      }
    },
  );

  it.each(Object.entries(lists) as [ListCommand, ViciSection][])('streams %s to its end', async (command, filter) => {
    const bodies: ViciSection[] = [];
    for await (const body of session.stream(command, filter)) bodies.push(body);
    expect(bodies.every((body) => body.size > 0)).toBe(true);
  });

  it('gives a certificate back byte for byte', async () => {
    const der = await certificate();
    await session.call('load-cert', request(['type', 'X509'], ['flag', 'CA'], ['data', der]));
    const found: Uint8Array[] = [];
    for await (const body of session.stream('list-certs', request(['type', 'X509']))) {
      found.push(itemBytes(body.get('data') as ViciItem));
    }
    expect(found).toEqual([der]);
  });

  // Without a shared secret the attempt fails on this side already.
  it('streams the log of an initiate that fails, and then says so', async () => {
    await session.call('load-conn', connection('one'));
    const groups: unknown[] = [];
    const reading = (async () => {
      const filter = request(['child', 'net'], ['ike', 'one'], ['timeout', '5000']);
      for await (const body of session.stream('initiate', filter)) groups.push(body.get('group'));
    })();
    expect((await viciRejectionOf(reading)).detail).toBe("establishing CHILD_SA 'net' failed");
    expect(groups).toContain('IKE');
  });
});
