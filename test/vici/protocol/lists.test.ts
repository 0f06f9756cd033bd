import { describe, expect, it } from 'vitest';
import { authority, cert, conn, policy } from '../../../src/vici/protocol/lists.ts';
import { section } from './section.ts';

describe('a listed connection', () => {
  const round = (id: string) =>
    section({ class: 'public key', id, groups: [], cert_policy: [], certs: [], cacerts: [] });
  const child = section({
    mode: 'TUNNEL',
    rekey_time: '3600',
    rekey_bytes: '0',
    rekey_packets: '0',
    dpd_action: 'none',
    close_action: 'trap|start',
    'local-ts': ['dynamic'],
    'remote-ts': ['10.2.0.0/24'],
  });
  const body = section({
    gw: section({
      local_addrs: ['%any'],
      remote_addrs: ['192.0.2.2'],
      version: 'IKEv2',
      reauth_time: '0',
      rekey_time: '14400',
      unique: 'UNIQUE_NO',
      'local-1': round('first'),
      'local-2': round('second'),
      'remote-1': round('peer'),
      children: section({ net: child }),
    }),
  });

  it('has its rounds in order and its children by name', () => {
    const { local, remote, children, ...fields } = conn(body);
    expect(local.map(({ id }) => id)).toEqual(['first', 'second']);
    expect(remote.map(({ id }) => id)).toEqual(['peer']);
    expect(children.get('net')).toMatchObject({ close_action: 'trap|start', rekey_time: 3600 });
    expect(fields).toMatchObject({ name: 'gw', rekey_time: 14400, local_port: undefined, ppk_required: false });
  });
});

describe('other lists', () => {
  it('have policies with and without a connection', () => {
    const shunt = section({ child: 'lan', mode: 'PASS', 'local-ts': ['10.0.0.0/8'], 'remote-ts': ['10.0.0.0/8'] });
    expect(policy(section({ lan: shunt }))).toMatchObject({ name: 'lan', child: 'lan', ike: undefined });
  });

  it('have certificates as bytes, also when those happen to be text', () => {
    const der = Uint8Array.of(0x30, 0x82);
    expect(cert(section({ type: 'X509', flag: 'CA', has_privkey: 'yes', data: der }))).toMatchObject({
      flag: 'CA',
      has_privkey: true,
      data: der,
    });
    expect(cert(section({ type: 'PUBKEY', data: '0A' })).data).toEqual(Buffer.from('0A'));
  });

  it('have authorities without any URI', () => {
    expect(authority(section({ ca: section({ cacert: 'CN=ca', crl_uris: [], ocsp_uris: [] }) }))).toEqual({
      name: 'ca',
      cacert: 'CN=ca',
      crl_uris: [],
      ocsp_uris: [],
      cert_uri_base: undefined,
    });
  });
});
