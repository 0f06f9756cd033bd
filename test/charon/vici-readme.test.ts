import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ViciEventBodies, ViciEventName } from '../../src/vici/protocol/events.ts';
import type { ViciConnConfig } from '../../src/vici/protocol/load-conn.ts';
import { ViciSession } from '../../src/vici/session.ts';
import type { ViciSubscription } from '../../src/vici/subscription.ts';
import { STRONGSWAN_VERSIONS } from '../lab/strongswan.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

/** Debian 13's strongSwan is fetched when this machine does not have it yet. */
const FETCH_MS_MAX = 900_000;

/** Where the README of charon's plugin and charon itself differ, charon is the one to believe. */
describe.skipIf(!canRunCharon).each(STRONGSWAN_VERSIONS)("strongSwan %s and its plugin's README", (strongswan) => {
  let charon: CharonDaemon;
  let session: ViciSession;
  beforeAll(async () => {
    charon = await CharonDaemon.start({ strongswan });
    session = await ViciSession.connect({ socketPath: charon.socketPath });
    const ends = (own: string, peer: string): ViciConnConfig => ({
      local_addrs: [own],
      remote_addrs: [peer],
      local: { auth: 'psk', id: own },
      remote: { auth: 'psk', id: peer },
    });
    // An IKE SA of this charon with itself, whose ends are both to be seen. A CHILD SA would clash with its other end.
    await session.call('load-conn', { 'one-end': ends('127.0.0.1', '127.0.0.2') });
    await session.call('load-conn', { 'other-end': ends('127.0.0.2', '127.0.0.1') });
    await session.call('load-shared', { type: 'IKE', data: 'for the test only' });
  }, FETCH_MS_MAX);
  afterAll(async () => {
    await session[Symbol.asyncDispose]();
    await charon[Symbol.asyncDispose]();
  });

  async function first<E extends ViciEventName>(
    name: E,
    subscription: ViciSubscription,
    matches: (body: ViciEventBodies[E]) => boolean = () => true,
  ): Promise<ViciEventBodies[E]> {
    for await (const event of subscription) {
      const body = event.body as ViciEventBodies[E];
      if (event.name === name && matches(body)) return body;
    }
    throw new Error(`the events ended without ${name}`);
  }

  it('call the id of an SA in the log ikesa-uniqueid; the responder moves its SA before it has a name', async () => {
    await using log = await session.subscribe(['log'], { signal: AbortSignal.timeout(20_000) });
    await using updates = await session.subscribe(['ike-update'], { signal: AbortSignal.timeout(20_000) });
    await session.call('initiate', { ike: 'one-end', timeout: 10_000 });
    const line = await first('log', log, ({ msg }) => msg.startsWith('IKE_SA one-end[1] established'));
    expect(line).toMatchObject({ 'ikesa-name': 'one-end', 'ikesa-uniqueid': 1 });
    expect(await first('ike-update', updates)).toMatchObject({
      'local-port': 4500,
      'remote-port': 4500,
      ikeSa: { name: '(unnamed)', 'local-port': 500, 'remote-port': 500 },
    });
  });

  it('want a gateway to redirect to', async () => {
    const incomplete = new Map([['ike', 'one-end']]);
    expect((await viciRejectionOf(session.call('redirect', incomplete))).detail).toBe('missing target gateway');
    // It counts what it cannot do: this is the initiator's end.
    expect(await session.call('redirect', { ike: 'one-end', gateway: '127.0.0.9' })).toEqual({ matches: 1 });
  });

  it('spell what a connection is in words of its own', async () => {
    const odd: ViciConnConfig = {
      local: { auth: 'eap-tls', eap_id: 'me' },
      remote: { auth: 'pubkey', revocation: 'strict', groups: ['g'] },
      dpd_delay: '1m',
      children: {
        odd: { mode: 'transport_proxy', dpd_action: 'restart', close_action: 'trap|start', rekey_bytes: '1k' },
      },
    };
    await session.call('load-conn', { odd });
    for await (const conn of session.stream('list-conns', { ike: 'odd' })) {
      expect(conn).toMatchObject({
        version: 'IKEv1/2',
        dpd_delay: 60,
        local: [{ class: 'EAP', 'eap-type': 'EAP_TLS', eap_id: 'me' }],
        remote: [{ class: 'public key', revocation: 'GOOD', groups: ['g'] }],
      });
      expect(conn.children.get('odd')).toMatchObject({
        mode: 'TRANSPORT_PROXY',
        dpd_action: 'start',
        close_action: 'trap | start',
        rekey_bytes: 1024,
        'local-ts': ['dynamic'],
      });
    }
  });

  it('list policies of a kind that is mentioned, also with "no"', async () => {
    const trap: ViciConnConfig = {
      remote_addrs: ['127.0.0.3'],
      children: { trap: { local_ts: ['127.0.0.1/32'], remote_ts: ['10.3.0.0/24'], policies: false } },
    };
    await session.call('load-conn', { trap });
    await session.call('install', { child: 'trap' });
    const named = async (filter: ReadonlyMap<string, string>): Promise<string[]> => {
      const names: string[] = [];
      for await (const { name } of session.stream('list-policies', filter)) names.push(name);
      return names;
    };
    expect(await named(new Map())).toEqual([]);
    expect(await named(new Map([['trap', 'no']]))).toEqual(['trap/trap']);
    await session.call('uninstall', { child: 'trap' });
    expect(await named(new Map([['trap', 'yes']]))).toEqual([]);
  });

  it('know key types and secrets that it does not mention, and not those of swanctl', async () => {
    await session.call('load-shared', { id: 'ppk', type: 'PPK', data: Uint8Array.of(0, 0xff) });
    expect((await session.call('get-shared')).keys).toEqual(['ppk']);
    const asSwanctl = new Map([
      ['type', 'pkcs8'],
      ['data', 'x'],
    ]);
    expect((await viciRejectionOf(session.call('load-key', asSwanctl))).detail).toBe('invalid key type: pkcs8');
  });

  it('call key exchange methods by an older name up to 5.9', async () => {
    const kinds = await session.call('get-algorithms');
    const kind = strongswan === '5.9' ? 'dh' : 'ke';
    expect(kinds.get(kind)?.get('CURVE_25519')).toEqual(expect.any(String));
    expect(['dh', 'ke'].filter((name) => kinds.has(name))).toEqual([kind]);
  });

  it('apply what comes before a mistake', async () => {
    const request = new Map([
      ['right', new Map([['version', '2']])],
      ['wrong', new Map([['versoin', '2']])],
    ]);
    const refusal = await viciRejectionOf(session.call('load-conn', request));
    expect(refusal.detail).toBe('unknown option: versoin, config discarded');
    expect((await session.call('get-conns')).conns).toContain('right');
  });
});
