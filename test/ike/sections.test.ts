import { describe, expect, it } from 'vitest';
import { connectionNameSchema, linkIdSchema, type Connection } from '../../src/ike/connection.ts';
import type { Steering } from '../../src/ike/steering.ts';
import { loadConnRequest, plainOf, section } from '../../src/ike/sections.ts';
import { encodeMessage } from '../../src/vici/message.ts';
import { child, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { everyKind, hub, mediationServer } from './connections.ts';

const ca = Uint8Array.of(2);

const fieldsOf = (connection: Connection | Steering): Record<string, unknown> =>
  (plainOf(loadConnRequest(connection, ca)) as Record<string, Record<string, unknown>>)[connection.name]!;

/** What all kinds have alike, with the builders' IKE parameters. */
const alike = (connection: Connection): Record<string, unknown> => ({
  version: '2',
  mobike: 'no',
  encap: 'yes',
  rekey_time: '3420s',
  over_time: '180s',
  rand_time: '180s',
  keyingtries: '1',
  dpd_delay: '10s',
  unique: 'replace',
  local: { auth: 'pubkey', id: connection.localId },
  remote: { auth: 'pubkey', id: connection.remoteId, cacerts: [ca] },
});

const childFields = (priority: string): Record<string, unknown> => ({
  'edge1--remote': {
    local_ts: ['7.7.7.0/24'],
    remote_ts: ['7.7.8.0/24'],
    rekey_time: '1020s',
    life_time: '1200s',
    rand_time: '180s',
    priority,
    start_action: 'none',
    close_action: 'none',
    dpd_action: 'clear',
  },
});

describe('the load-conn request', () => {
  it('of a mediation server has neither addresses nor children', () =>
    expect(fieldsOf(mediationServer())).toEqual({ ...alike(mediationServer()), mediation: 'yes' }));

  it('of a mediation client goes to the mediator', () =>
    expect(fieldsOf(medsrv())).toEqual({ ...alike(medsrv()), mediation: 'yes', remote_addrs: ['203.0.113.10'] }));

  it('of a mediated peer names mediator and peer, and no address: charon would go past the mediator', () =>
    expect(fieldsOf(mediatedPeer())).toEqual({
      ...alike(mediatedPeer()),
      mediated_by: names.medsrv,
      mediation_peer: 'O=mesh, CN=remote',
      children: childFields('1000'),
    }));

  it('of a hub answers from anywhere', () =>
    expect(fieldsOf(hub())).toEqual({ ...alike(hub()), children: childFields('2000') }));

  it('of a spoke goes to the hub', () =>
    expect(fieldsOf(spoke())).toEqual({
      ...alike(spoke()),
      remote_addrs: ['203.0.113.10'],
      children: childFields('2000'),
    }));

  it('asks for virtual addresses only where there are some', () => {
    expect(fieldsOf({ ...spoke(), virtualIps: ['0.0.0.0'] })).toMatchObject({ vips: ['0.0.0.0'] });
    expect(fieldsOf(spoke())).not.toHaveProperty('vips');
  });

  it('leaves a lifetime of 0 without end and without rekeying', () => {
    const fields = fieldsOf({
      ...spoke([child('edge1--remote', { lifetimeSeconds: 0 })]),
      ike: { ...spoke().ike, lifetimeSeconds: 0 },
    });
    expect(fields).toMatchObject({ rekey_time: '0s', children: { 'edge1--remote': { rekey_time: '0s' } } });
    expect(fields).not.toHaveProperty('over_time');
    expect((fields['children'] as Record<string, unknown>)['edge1--remote']).not.toHaveProperty('life_time');
  });

  it('never says a negative time', () => {
    const ike = { ...spoke().ike, lifetimeSeconds: 60, marginSeconds: 90 };
    expect(fieldsOf({ ...spoke(), ike })).toMatchObject({ rekey_time: '0s', over_time: '90s' });
  });

  it('names proposals only where the mesh does', () => {
    const ike = { ...spoke().ike, proposals: ['aes256-sha256-ecp256'], mobike: true, encap: false };
    const fields = fieldsOf({ ...spoke([child('edge1--remote', { proposals: ['aes128gcm16'] })]), ike });
    expect(fields).toMatchObject({
      proposals: ['aes256-sha256-ecp256'],
      mobike: 'yes',
      encap: 'no',
      children: { 'edge1--remote': { esp_proposals: ['aes128gcm16'] } },
    });
    expect(fieldsOf(spoke())).not.toHaveProperty('proposals');
  });

  it('of a child with a fixed reqid leaves its policies out', () =>
    expect(fieldsOf(spoke([{ ...child('edge1--remote'), reqid: 7 }]))).toMatchObject({
      children: { 'edge1--remote': { policies: 'no', reqid: '7' } },
    }));

  it('of a child of an XFRM interface keeps what comes out of that from going into it again', () =>
    expect(fieldsOf(spoke([{ ...child('edge1--remote'), ifId: 7447 }]))).toMatchObject({
      children: { 'edge1--remote': { if_id_in: '7447', if_id_out: '7447', set_mark_out: '0x20000000/0x20000000' } },
    }));

  it('of what drops lets everything out', () => {
    const drop = {
      name: 'refuse-clear',
      localSelectors: ['7.7.7.0/24'],
      remoteSelectors: ['7.7.8.0/24'],
      reqid: undefined,
    };
    const steering: Steering = {
      kind: 'steering',
      name: connectionNameSchema.parse('cygnet-via-remote'),
      link: linkIdSchema.parse('edge1--remote'),
      lasting: [drop],
      destinations: [],
      probed: { direct: '100.96.0.6/32', relay: '100.96.0.7/32' },
      localSubnets: [],
    };
    const { children } = fieldsOf(steering) as { children: Record<string, Record<string, unknown>> };
    expect(Object.keys(children)).toEqual(['refuse-clear']);
    expect(children['refuse-clear']).toMatchObject({ mode: 'drop', mark_out: '0x74477447', local_ts: ['7.7.7.0/24'] });
    expect(children['refuse-clear']).not.toHaveProperty('reqid');
    expect(children['refuse-clear']).not.toHaveProperty('mark_in');
  });

  it('of traps has nobody to set anything up with', () => {
    const trap = { localSelectors: ['7.7.7.0/24'], remoteSelectors: ['7.7.8.0/24[udp]'], reqid: 7 };
    const steering: Steering = {
      kind: 'steering',
      name: connectionNameSchema.parse('cygnet-via-remote'),
      link: linkIdSchema.parse('edge1--remote'),
      lasting: [{ name: 'relay', ...trap }],
      direct: { name: 'direct', ...trap, reqid: 6 },
    };
    const fields = fieldsOf(steering) as { remote_addrs: readonly string[] };
    expect(fields).toEqual({
      version: '2',
      local_addrs: ['192.0.2.1'],
      remote_addrs: [expect.stringMatching(/^[a-z-]{64}$/)],
      local: { auth: 'pubkey', id: 'cygnet.nobody.invalid' },
      remote: { auth: 'pubkey', id: 'cygnet.nobody.invalid', cacerts: [ca] },
      children: {
        relay: expect.objectContaining({
          local_ts: ['7.7.7.0/24'],
          remote_ts: ['7.7.8.0/24[udp]'],
          reqid: '7',
        }) as unknown,
        direct: expect.objectContaining({ reqid: '6', start_action: 'none' }) as unknown,
      },
    });
  });

  it.each(everyKind().connections.map((connection) => [connection.kind, connection] as const))(
    'of a %s is something that VICI can carry, under its name alone',
    (_kind, connection) => {
      const request = loadConnRequest(connection, ca);
      expect([...request.keys()]).toEqual([connection.name]);
      expect(encodeMessage(request).byteLength).toBeGreaterThan(0);
    },
  );
});

describe('plain data of a section', () => {
  it('takes keys that objects give a meaning to for what they are', () => {
    const plain = plainOf(section({})) as object;
    expect(Object.getPrototypeOf(plain)).toBeNull();
    const hostile = plainOf(new Map([['__proto__', new Map([['admin', 'yes']])]])) as Record<string, unknown>;
    expect(Object.keys(hostile)).toEqual(['__proto__']);
    expect(hostile['admin']).toBeUndefined();
  });
});
