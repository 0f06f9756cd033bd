import { describe, expect, it } from 'vitest';
import type { ImportedChild, ImportedConnection } from '../../../src/ike/import/imported.ts';
import { importErrorOf, messages, only, swanctl } from './memory-disk.ts';

const conn = (text: string): ImportedConnection => only(swanctl(`connections { net { ${text} } }`));
const child = (text: string): ImportedChild => conn(`children { net { ${text} } }`).children[0]!;
const idOf = (text: string, files = {}): string | undefined => only(swanctl(text, files)).local.rounds[0]?.id;

describe('the grammar', () => {
  it.each([
    ['a single line', 'connections { net { local { id = a b } } }'],
    ['lines of their own', 'connections\n{\n net {\n  local\n{ id\n= a   b # c\n}\n}\n}\n'],
    ['quotes', 'connections { net { local { id = "a b" } } }'],
    ['joined words', 'connections { net { local { id = a "b" } } }'],
    ['a line that goes on', 'connections { net { local { id = "a \\\n   \\\nb" } } }'.replace('   ', '')],
    ['comments everywhere', '# {\nconnections { # "\nnet { local { id = a b# }\n } } }'],
    ['sections in pieces', 'connections { net { } }\nconnections { net { local { id = a b } } }'],
    ['keys in capitals', 'connections { net { LOCAL { ID = a b } } }'],
  ])('takes %s', (_what, text) => expect(idOf(text)).toBe('a b'));

  it.each([
    ['connections { net {\n', 1, 'section net never ends'],
    ['}\n', 1, 'without a section'],
    ['connections { net { local { id = "a\n} } }', 1, 'never ends'],
    ['connections\nnet\n', 1, 'expected "=" or "{" after the name'],
    ['connections : { }', 1, 'name of a section after ":"'],
    ['a.b = c', 1, 'after the name'],
    ['"a" = b', 1, 'expected the name'],
    ['include \n', 1, 'include without a file name'],
    ['connections { nät { } }', 1, 'printable ASCII'],
  ])('refuses %j at line %i', (text, line, detail) =>
    expect(importErrorOf(() => swanctl(text))).toMatchObject({
      code: 'syntax',
      where: { line },
      detail: expect.stringContaining(detail),
    }),
  );

  it('the last of a repeated key counts, with a warning', () => {
    const config = swanctl('connections { net { local { id = a\n id = b } } }');
    expect(only(config).local.rounds[0]?.id).toBe('b');
    expect(messages(config)).toEqual([
      '2: id was set at /etc/swanctl/swanctl.conf:1; strongSwan uses only this last one',
    ]);
  });

  it('includes within and outside of sections, by patterns relative to the file', () => {
    const files = { '/etc/swanctl/conf.d/a.conf': 'local { id = a }', '/etc/swanctl/b c': 'connections { net { } }' };
    expect(idOf('connections { net { include conf.d/*.conf\n} }', files)).toBe('a');
    expect(idOf('include "b c"\ninclude b\\ c\nconnections { net { include conf.d/a.conf } }', files)).toBe('a');
    expect(importErrorOf(() => swanctl('include swanctl.conf')).code).toBe('too-much');
  });
});

describe('references', () => {
  it('fill in what a section does not say itself, also in its sub-sections', () => {
    const config = swanctl(`
      base { version = 2
        local { id = base
          auth = psk } }
      other { version = 1
        remote { id = other } }
      connections { net : base, other { local { id = own } } }`);
    expect(only(config)).toMatchObject({
      ike: { version: 2 },
      local: { rounds: [{ id: 'own', method: 'psk' }] },
      remote: { rounds: [{ id: 'other' }] },
    });
  });

  it('go through several sections, and deep into them', () =>
    expect(idOf('a { b { local { id = deep } } }\nc : a.b { }\nconnections { net : c { } }')).toBe('deep'));

  it('a key without a value takes away what they say', () =>
    expect(idOf('a { local { id = base } }\nconnections { net : a { local { id = \n} } }')).toBeUndefined());

  it('to nowhere are warned of', () =>
    expect(messages(swanctl('connections { net : none { } }'))).toEqual(['1: there is no section none to refer to']));

  it('in a circle end', () =>
    expect(idOf('a : b { local { id = x } }\nb : a { }\nconnections { net : a { } }')).toBe('x'));

  it('to a section around them are refused', () =>
    expect(importErrorOf(() => swanctl('connections { net : connections { } }')).code).toBe('bad-reference'));

  it('cannot multiply without end', () => {
    const levels = Array.from(
      { length: 15 },
      (_, i) => `s${i + 1} { ${'abcdefgh'.replaceAll(/./g, (c) => `${c} : s${i} { } `)} }`,
    );
    const text = `s0 { a { } }\n${levels.join('\n')}\nconnections { net : s13 { } }`;
    expect(importErrorOf(() => swanctl(text)).code).toBe('too-much');
  });
});

describe('limits', () => {
  it.each([
    ['nesting', 'a { '.repeat(30)],
    ['sections', 'a { } '.repeat(1000).concat('\n').repeat(21)],
    ['settings', Array.from({ length: 300 }, (_, i) => `k${i} = 1\n`).join('')],
    ['references', Array.from({ length: 40 }, (_, i) => `a : b${i} { }`).join('\n')],
    [
      'a chain of references',
      `${Array.from({ length: 400 }, (_, i) => `a${i} : a${i + 1} { }`).join('\n')}\nconnections { net : a0 { } }`,
    ],
  ])('there are for %s', (_what, text) => expect(importErrorOf(() => swanctl(text)).code).toBe('too-much'));
});

describe('connections', () => {
  it('have our names and units', () =>
    expect(
      conn(`version = 2
        local_addrs = 192.0.2.1, 2001:db8::1
        local_port = 4500
        remote_addrs = gateway.example
        proposals = aes128-sha256-modp2048, default
        vips = 0.0.0.0, ::
        pools = a, b
        rekey_time = 4h
        reauth_time = 0
        over_time = 24 m
        rand_time = 90S
        dpd_delay = 30s
        keyingtries = 0
        unique = Replace
        mobike = no
        encap = yes
        send_certreq = 0
        send_cert = always
        if_id_in = %unique
        dscp = 000101`),
    ).toMatchObject({
      local: { addresses: ['192.0.2.1', '2001:db8::1'], port: 4500 },
      remote: { addresses: ['gateway.example'] },
      ike: {
        version: 2,
        proposals: ['aes128-sha256-modp2048', 'default'],
        virtualIps: ['0.0.0.0', '::'],
        pools: ['a', 'b'],
        rekeySeconds: 14_400,
        reauthSeconds: 0,
        overSeconds: 1440,
        randomSeconds: 90,
        dpdDelaySeconds: 30,
        keyingTries: 0,
        unique: 'replace',
        mobike: false,
        encapsulation: true,
        sendCertificateRequest: false,
        sendCertificate: 'always',
        interfaceIdIn: '%unique',
        dscp: '000101',
      },
    }));

  it('have rounds in the order of their numbers, then of the file', () =>
    expect(
      conn('local-b { id = third\n round = 2 } local { id = first } local-a { id = second }').local.rounds.map(
        ({ id }) => id,
      ),
    ).toEqual(['first', 'second', 'third']));

  it('have certificates and keys by their files, or within', () =>
    expect(
      conn(`local { certs = a.pem, /opt/b.pem
          pubkeys = k.pem, 0sAQID, 0x010203
          cert1 { file = /opt/c.pem } }
        remote { cacerts = ca.pem
          cacert1 { file = /opt/ca.pem }
          groups = a, b
          revocation = strict }`),
    ).toMatchObject({
      local: {
        rounds: [
          {
            certificates: [{ file: '/etc/swanctl/x509/a.pem' }, { file: '/opt/b.pem' }, { file: '/opt/c.pem' }],
            publicKeys: [{ file: '/etc/swanctl/pubkey/k.pem' }, { base64: 'AQID' }, { base64: 'AQID' }],
          },
        ],
      },
      remote: {
        rounds: [
          {
            caCertificates: [{ file: '/etc/swanctl/x509ca/ca.pem' }, { file: '/opt/ca.pem' }],
            groups: ['a', 'b'],
            revocation: 'strict',
          },
        ],
      },
    }));

  it.each<[string, Partial<ImportedChild>]>([
    ['local_ts = 10.1.0.0/16[tcp/80], dynamic', { localTs: ['10.1.0.0/16[tcp/80]', 'dynamic'] }],
    ['remote_ts = 10.0.0.1-10.0.0.9', { remoteTs: ['10.0.0.1-10.0.0.9'] }],
    ['start_action = trap|start', { startAction: 'trap|start' }],
    ['start_action = route', { startAction: 'trap' }],
    ['dpd_action = restart', { dpdAction: 'start' }],
    ['life_bytes = 2 g', { lifeBytes: 2 ** 31 }],
    ['mark_in = 0x2a/0xff', { markIn: '0x2a/0xff' }],
    ['priority = 1000', { priority: 1000 }],
    ['hw_offload = auto', { hardwareOffload: 'auto' }],
    ['mode = pass', { mode: 'pass' }],
  ])('%s', (text, expected) => expect(child(text)).toMatchObject(expected));

  it.each([
    ['version = two', 'version: charon refuses "two"'],
    ['mobike = maybe', 'mobike: charon refuses "maybe"'],
    ['colour = red', 'colour: charon knows no such option'],
    ['mediation = maybe', 'mediation: charon refuses "maybe"'],
    ['local { auth = magic }', 'auth: charon refuses "magic"'],
    ['local { round = first }', 'round must be a number'],
    ['local { what { } }', 'charon knows no section what in a round of authentication'],
    ['peers { }', 'charon knows no section peers in a connection'],
    ['children { net { local_ts = here } }', 'local_ts: charon refuses "here"'],
    ['children { net { constructor = x } }', 'constructor: charon knows no such option'],
  ])('with "%s" are left out, because charon would refuse them', (text, message) => {
    const config = swanctl(`connections { net { ${text} } }`);
    expect(config.connections).toEqual([]);
    expect(messages(config)).toEqual(
      expect.arrayContaining([`1: ${message}`, '1: connection net is left out, because charon would refuse it']),
    );
  });

  it.each([
    ['children { net { updown = /bin/sh } }', /updown is not carried over: no scripts are loaded/],
    ['children { net { hostaccess = yes } }', /hostaccess only tells/],
    ['local { cert1 { handle = 50 } }', /handle: certificates on tokens are not carried over/],
  ])('with "%s" are loaded without it', (text, message) => {
    const config = swanctl(`connections { net { ${text} } }`);
    expect(config.connections).toHaveLength(1);
    expect(messages(config)).toEqual([expect.stringMatching(message)]);
  });
});

describe('secrets', () => {
  it('are for their owners, and named as in the file', () => {
    const { credentials } = swanctl(
      'secrets { ike-a { id-1 = a\n id-2 = "C=CN, CN=b"\n secret = 0sYWJj\n } eap { id = c\n secret = x } }',
    );
    expect(credentials).toMatchObject([
      { kind: 'shared-key', type: 'ike', name: 'ike-a', owners: ['a', 'C=CN, CN=b'] },
      { kind: 'shared-key', type: 'eap', name: 'eap', owners: ['c'] },
    ]);
    const [psk] = credentials;
    expect(psk?.kind === 'shared-key' && Buffer.from(psk.secret.reveal()).toString()).toBe('abc');
  });

  it('open the keys in the folders, of which all are loaded', () => {
    const files = {
      '/etc/swanctl/private/a.pem': 'x',
      '/etc/swanctl/ecdsa/b.pem': 'x',
      '/etc/swanctl/x509ca/ca.pem': 'x',
    };
    const { credentials } = swanctl('secrets { private-1 { file = A.pem\n secret = hush\n } }', files);
    expect(credentials).toMatchObject([
      { kind: 'certificate', type: 'x509ca', file: '/etc/swanctl/x509ca/ca.pem' },
      { kind: 'private-key', type: 'any', file: '/etc/swanctl/private/a.pem', passphrase: expect.anything() },
      { kind: 'private-key', type: 'ecdsa', file: '/etc/swanctl/ecdsa/b.pem', passphrase: undefined },
    ]);
    expect(JSON.stringify(credentials)).not.toContain('hush');
  });

  it.each([
    ['token1 { handle = 50 }', /token1 is not carried over/],
    ['pkcs12 { file = a\n secret = x }', /pkcs12 is not carried over/],
    ['strange { secret = x }', /strange: swanctl knows no such kind/],
    ['ike1 { id = a }', /ike1 has no secret/],
  ])('%s is a warning', (text, message) =>
    expect(messages(swanctl(`secrets { ${text} }`))).toEqual([expect.stringMatching(message)]),
  );
});

describe('pools and authorities', () => {
  it('come over whole', () => {
    const config = swanctl(`
      pools { p { addrs = 10.3.0.0/24
        dns = 10.3.0.1, 10.3.0.2 } }
      authorities { ca { cacert = ca.pem
        crl_uris = http://a/1, http://a/2
        cert_uri_base = http://a/ } }`);
    expect(config.pools).toMatchObject([
      { name: 'p', addresses: '10.3.0.0/24', attributes: { dns: ['10.3.0.1', '10.3.0.2'] } },
    ]);
    expect(config.authorities).toMatchObject([
      {
        name: 'ca',
        file: '/etc/swanctl/x509ca/ca.pem',
        crlUris: ['http://a/1', 'http://a/2'],
        ocspUris: [],
        certificateUriBase: 'http://a/',
      },
    ]);
  });

  it('that charon would refuse are left out', () => {
    const config = swanctl(
      'pools { p { dns = 10.3.0.1 } }\nauthorities { a { handle = 50 } b { cacert = x\n what = 1 } }',
    );
    expect([config.pools, config.authorities]).toEqual([[], []]);
    expect(messages(config)).toHaveLength(5);
  });
});
