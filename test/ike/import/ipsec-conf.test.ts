import { describe, expect, it } from 'vitest';
import { importErrorOf, ipsec, messages, only, otherMessages } from './memory-disk.ts';
import type { ImportedChild, ImportedConnection } from '../../../src/ike/import/imported.ts';

/** A conn of these lines; `right` is set. */
const conn = (...lines: readonly string[]): string =>
  ['conn net', 'right=192.0.2.1', 'auto=add', ...lines].join('\n  ') + '\n';
const read = (...lines: readonly string[]): ImportedConnection => only(ipsec(conn(...lines)));
const childOf = (...lines: readonly string[]): ImportedChild => read(...lines).children[0]!;

describe('lifetimes', () => {
  it('count forward from the end, as charon does: rekeying begins at lifetime less margin', () => {
    const { ike, children } = read('ikelifetime=60m', 'keylife=20m', 'rekeymargin=3m', 'reauth=no');
    expect(ike).toMatchObject({ rekeySeconds: 3420, reauthSeconds: 0, overSeconds: 180, randomSeconds: 180 });
    expect(children[0]).toMatchObject({ rekeySeconds: 1020, lifeSeconds: 1200, randomSeconds: 180 });
  });

  it('have the defaults of ipsec.conf, with reauthentication, and the fuzz on the margin', () => {
    const { ike, children } = read('rekeyfuzz=50%');
    expect(ike).toMatchObject({ rekeySeconds: 0, reauthSeconds: 10_260, overSeconds: 540, randomSeconds: 270 });
    expect(children[0]).toMatchObject({ rekeySeconds: 3060, lifeSeconds: 3600, randomSeconds: 270 });
  });

  it('do not exist with rekey=no', () => {
    const { ike, children } = read('rekey=no', 'lifebytes=1000');
    expect(ike).toMatchObject({ rekeySeconds: 0, reauthSeconds: 0 });
    expect(children[0]).toMatchObject({ rekeySeconds: 0, lifeSeconds: 0, randomSeconds: 0 });
    expect(children[0]).not.toHaveProperty('lifeBytes');
  });

  it('can be volumes', () =>
    expect(childOf('lifebytes=1000', 'marginbytes=100', 'lifepackets=10')).toMatchObject({
      rekeyBytes: 900,
      lifeBytes: 1000,
      randomBytes: 100,
      rekeyPackets: 10,
    }));

  it('that are shorter than the margin turn rekeying off, with a warning', () => {
    const config = ipsec(conn('ikelifetime=1m', 'reauth=no'));
    expect(only(config).ike.rekeySeconds).toBe(0);
    expect(messages(config)).toEqual([
      expect.stringMatching(/^4: ikelifetime is not longer than rekeymargin \(540 s\)/),
    ]);
  });
});

describe('options', () => {
  it('have the defaults of ipsec.conf where charon has others', () =>
    expect(read().ike).toMatchObject({ version: 0, keyingTries: 3, unique: 'replace', dpdDelaySeconds: 0 }));

  it.each<[string, Partial<ImportedConnection['ike']>]>([
    ['keyexchange=ikev1', { version: 1 }],
    ['keyexchange=ikev2', { version: 2 }],
    ['keyingtries=%forever', { keyingTries: 0 }],
    ['mobike=no', { mobike: false }],
    ['forceencaps=yes', { encapsulation: true }],
    ['fragmentation=force', { fragmentation: 'force' }],
    ['leftsendcert=never', { sendCertificate: 'never' }],
    ['rightsendcert=no', { sendCertificateRequest: false }],
    ['aggressive=yes', { aggressive: true }],
    ['modeconfig=push', { pull: false }],
    ['ikedscp=101', { dscp: '101' }],
    ['ike=aes128-sha256-modp2048!', { proposals: ['aes128-sha256-modp2048'] }],
    [
      'ike=aes128-sha256-modp2048,aes256gcm16-prfsha384-ecp384',
      {
        proposals: ['aes128-sha256-modp2048', 'aes256gcm16-prfsha384-ecp384', 'default'],
      },
    ],
  ])('%s', (line, expected) => expect(read(line).ike).toMatchObject(expected));

  it.each<[string, Partial<ImportedChild>]>([
    ['type=transport', { mode: 'transport' }],
    ['type=passthrough', { mode: 'pass' }],
    ['esp=aes128-sha256!', { espProposals: ['aes128-sha256'] }],
    ['ah=sha256', { ahProposals: ['sha256', 'default'], espProposals: [] }],
    ['closeaction=hold', { closeAction: 'trap' }],
    ['compress=yes', { ipcomp: true }],
    ['installpolicy=no', { policies: false }],
    ['inactivity=3m', { inactivitySeconds: 180 }],
    ['reqid=7', { requestId: 7 }],
    ['mark=5/0xff', { markIn: '5/0xff', markOut: '5/0xff' }],
    ['tfc=%mtu', { tfcPadding: 'mtu' }],
    ['replay_window=64', { replayWindow: 64 }],
    ['sha256_96=yes', { sha256Truncated96: true }],
  ])('%s', (line, expected) => expect(childOf(line)).toMatchObject(expected));

  it.each([
    ['restart', { dpdDelaySeconds: 10, dpdTimeoutSeconds: 150 }, 'start'],
    ['clear', { dpdDelaySeconds: 10, dpdTimeoutSeconds: 150 }, 'none'],
    ['hold', { dpdDelaySeconds: 10, dpdTimeoutSeconds: 150 }, 'trap'],
    ['none', { dpdDelaySeconds: 0 }, 'none'],
  ])('dpdaction=%s', (action, ike, dpdAction) => {
    const connection = read(`dpdaction=${action}`, 'dpddelay=10s');
    expect(connection).toMatchObject({ ike, children: [{ dpdAction }] });
  });

  it.each([
    ['add', 'none'],
    ['route', 'trap'],
    ['start', 'start'],
  ])('auto=%s', (auto, startAction) =>
    expect(only(ipsec(`conn net\n  auto=${auto}\n`)).children[0]?.startAction).toBe(startAction),
  );

  it.each([
    ['uniqueids=no', 'no'],
    ['uniqueids=keep', 'keep'],
    ['uniqueids=never', 'never'],
    ['', 'replace'],
  ])('config setup: %s', (line, unique) =>
    expect(only(ipsec(`config setup\n  ${line}\n${conn()}`)).ike.unique).toBe(unique),
  );

  it('strictcrlpolicy is for the remote side', () => {
    const { local, remote } = only(ipsec(`config setup\n  strictcrlpolicy=ifuri\n${conn()}`));
    expect([local.rounds[0]?.revocation, remote.rounds[0]?.revocation]).toEqual([undefined, 'ifuri']);
  });

  it.each([
    ['keyexchange=ikev3', 'keyexchange must be ike, ikev1, ikev2, not "ikev3"'],
    ['ikelifetime=1week', 'ikelifetime must be a time such as 60m, not "1week"'],
    ['keyingtries=many', 'keyingtries must be a whole number, not "many"'],
    ['leftprotoport=tcp/80/90', 'leftprotoport must be PROTOCOL or PROTOCOL/PORT, not "tcp/80/90"'],
    ['mark=%same', 'mark must be MARK or MARK/MASK, not "%same"'],
  ])('a conn with %s is left out, as by strongSwan', (line, message) => {
    const config = ipsec(conn(line));
    expect(config.connections).toEqual([]);
    expect(messages(config)).toEqual([
      '1: conn net is left out, as by strongSwan, because of a value that makes no sense',
      `4: ${message}`,
    ]);
  });

  it('esp and ah exclude each other', () => expect(ipsec(conn('esp=aes128', 'ah=sha256')).connections).toEqual([]));
});

describe('ends', () => {
  it.each<[string, readonly string[]]>([
    ['left=%defaultroute', []],
    ['left=%any', []],
    ['left=192.0.2.7', ['192.0.2.7']],
    ['left=192.0.2.7,2001:db8::1', ['192.0.2.7', '2001:db8::1']],
    ['left=%gateway.example', ['gateway.example', '0.0.0.0/0', '::/0']],
    ['left=%any6', ['%any6']],
  ])('%s', (line, addresses) => expect(read(line).local.addresses).toEqual(addresses));

  it('leftallowany accepts any address besides the one to send to', () =>
    expect(read('leftallowany=yes', 'left=gateway.example').local.addresses).toEqual([
      'gateway.example',
      '0.0.0.0/0',
      '::/0',
    ]));

  it('right is the local side when it has an address of this machine', () => {
    const config = ipsec(conn('leftid=there', 'rightid=here'), {}, { isLocalAddress: (text) => text === '192.0.2.1' });
    expect(only(config)).toMatchObject({
      local: { addresses: ['192.0.2.1'], rounds: [{ id: 'here' }] },
      remote: { rounds: [{ id: 'there' }] },
    });
    expect(otherMessages(config)).toEqual([
      '2: right is an address of this machine, so right is the local side, as for strongSwan',
    ]);
  });

  it.each([
    ['leftikeport=4500', 4500],
    ['leftikeport=500', undefined],
  ])('%s', (line, port) => expect(read(line).local.port).toBe(port));
});

describe('authentication', () => {
  const rounds = (...lines: readonly string[]): readonly unknown[] => {
    const { local, remote } = read(...lines);
    return [local.rounds.map(({ method }) => method), remote.rounds.map(({ method }) => method)];
  };

  it.each([
    [[], [['pubkey'], ['pubkey']]],
    [['authby=secret'], [['psk'], ['psk']]],
    [
      ['authby=secret', 'leftauth=eap-md5'],
      [['eap-md5'], ['pubkey']],
    ],
    [
      ['leftauth=secret', 'rightauth=any'],
      [['psk'], [undefined]],
    ],
    [
      ['authby=xauthpsk', 'xauth=client'],
      [['psk', 'xauth'], ['psk']],
    ],
    [
      ['authby=xauthrsasig', 'xauth=server'],
      [['pubkey'], ['pubkey', 'xauth']],
    ],
    [
      ['leftauth=pubkey', 'leftauth2=eap-md5'],
      [['pubkey', 'eap-md5'], ['pubkey']],
    ],
    [['rightauth=nonsense'], [['pubkey'], [undefined]]],
  ])('%j', (lines, methods) => expect(rounds(...lines)).toEqual(methods));

  it('takes the address for the identity only where there is no certificate', () => {
    expect(read('left=192.0.2.7').local.rounds[0]?.id).toBe('192.0.2.7');
    expect(read('left=192.0.2.7', 'leftcert=a.pem').local.rounds[0]?.id).toBeUndefined();
    expect(read('left=%gateway.example').local.rounds[0]?.id).toBe('gateway.example');
    expect(read('left=192.0.2.0/24').local.rounds[0]?.id).toBeUndefined();
  });

  it('a loose identity becomes a strict one, with a warning', () => {
    const config = ipsec(conn('rightid=%peer'));
    expect(only(config).remote.rounds[0]?.id).toBe('peer');
    expect(otherMessages(config)).toEqual([expect.stringMatching(/^4: rightid: the "%"/)]);
  });

  it('finds certificates and keys below ipsec.d', () => {
    const { rounds: own } = read('leftcert=a.pem, /opt/b.pem', 'leftsigkey=key.pem').local;
    expect(own[0]).toMatchObject({
      certificates: [{ file: '/etc/ipsec.d/certs/a.pem' }, { file: '/opt/b.pem' }],
      publicKeys: [{ file: '/etc/ipsec.d/certs/key.pem' }],
    });
    expect(read('rightsigkey=0sAQID').remote.rounds[0]?.publicKeys).toEqual([{ base64: 'AQID' }]);
    expect(read('rightsigkey=0x010203').remote.rounds[0]?.publicKeys).toEqual([{ base64: 'AQID' }]);
  });

  it('rightca is a CA that must be in the chain; %same means the other side’s', () => {
    expect(read('rightca="C=CH, CN=CA"').remote.rounds[0]?.caId).toBe('C=CH, CN=CA');
    expect(read('leftca="C=CH, CN=CA"', 'rightca=%same').remote.rounds[0]?.caId).toBe('C=CH, CN=CA');
  });

  it('EAP and XAuth identities go to the rounds that they are for', () => {
    const { local, remote } = read('leftauth=eap-md5', 'eap_identity=%identity', 'aaa_identity=aaa', 'rightgroups=a,b');
    expect(local.rounds[0]).toMatchObject({ eapId: '%any', aaaId: 'aaa' });
    expect(remote.rounds[0]).toMatchObject({ groups: ['a', 'b'] });
    expect(remote.rounds[0]).not.toHaveProperty('eapId');
  });
});

describe('traffic selectors', () => {
  it.each<[readonly string[], readonly string[]]>([
    [[], ['dynamic']],
    [['leftsubnet=10.1.0.0/16'], ['10.1.0.0/16']],
    [['leftsubnet=10.1.0.0/16, 2001:db8::/32'], ['10.1.0.0/16', '2001:db8::/32']],
    [['leftsubnet=10.1.0.1'], ['10.1.0.1']],
    [['leftsubnetwithin=10.1.0.0/16'], ['10.1.0.0/16']],
    [['leftprotoport=17/1701'], ['dynamic[17/1701]']],
    [
      ['leftprotoport=tcp', 'leftsubnet=10.1.0.0/16,10.2.0.0/16[udp/%any]'],
      ['10.1.0.0/16[tcp]', '10.2.0.0/16[udp]'],
    ],
    [['leftsubnet=%dynamic[tcp/22-25]'], ['dynamic[tcp/22-25]']],
    [['leftsubnet=10.1.0.0/16[%any/%opaque]'], ['10.1.0.0/16[any/opaque]']],
    [['leftsubnet=10.1.0.0/16[%any]'], ['10.1.0.0/16']],
  ])('%j', (lines, selectors) => expect(childOf(...lines).localTs).toEqual(selectors));

  it.each(['10.1.0.0/33', 'net', '10.1.0.0/16/8', '10.1.0.0/16[tcp', '10.1.0.0/16[a/b/c]'])(
    'leaves %j out, as strongSwan does, and says so',
    (subnet) => {
      const config = ipsec(conn(`leftsubnet=${subnet},10.9.0.0/16`));
      expect(only(config).children[0]?.localTs).toEqual(['10.9.0.0/16']);
      expect(otherMessages(config)).toEqual([`4: leftsubnet: "${subnet}" is no subnet and is left out`]);
    },
  );
});

describe('virtual addresses', () => {
  it.each<[string, readonly string[]]>([
    ['leftsourceip=%config', ['0.0.0.0']],
    ['leftsourceip=%config6,%config4', ['::', '0.0.0.0']],
    ['leftsourceip=1.1.1.236', ['1.1.1.236']],
  ])('%s', (line, virtualIps) => expect(read(line).ike.virtualIps).toEqual(virtualIps));

  it('%config takes the family of the subnets', () =>
    expect(read('leftsourceip=%config', 'rightsubnet=2001:db8::/32').ike.virtualIps).toEqual(['::']));

  it('rightsourceip defines pools, one for all conns with the same range', () => {
    const config = ipsec(
      `${conn('rightsourceip=10.3.0.0/24,%dhcp', 'rightdns=10.3.0.1')}conn two\n  auto=add\n  rightsourceip=10.3.0.0/24\n`,
    );
    expect(config.connections.map(({ ike }) => ike.pools)).toEqual([
      ['pool-10-3-0-0-24', 'dhcp'],
      ['pool-10-3-0-0-24'],
    ]);
    expect(config.pools).toEqual([
      expect.objectContaining({
        name: 'pool-10-3-0-0-24',
        addresses: '10.3.0.0/24',
        attributes: { dns: ['10.3.0.1'] },
      }),
    ]);
  });

  it.each([
    ['rightsourceip=%config', /^4: rightsourceip: a pool without addresses/],
    ['rightsourceip=nonsense', /^4: rightsourceip: "nonsense" is no range/],
    ['leftsourceip=nonsense', /^4: leftsourceip: "nonsense" is no address/],
    ['rightdns=10.3.0.1', /^4: rightdns: has no pool/],
    ['leftdns=%config4', /^4: leftdns: /],
  ])('%s is a warning', (line, message) =>
    expect(otherMessages(ipsec(conn(line)))).toEqual([expect.stringMatching(message)]),
  );
});

describe('what cannot be carried over says what to do instead', () => {
  it.each([
    ['leftfirewall=yes', /leftfirewall=yes is not carried over: .*nft.*updown in swanctl.conf by hand/],
    ['leftupdown=/bin/true', /leftupdown is not carried over: no scripts are loaded from here; set updown in swanctl/],
    ['rightfirewall=yes', /rightfirewall has no effect/],
    ['lefthostaccess=yes', /lefthostaccess only tells the updown script/],
    ['leftcert=%smartcard:50', /certificates on tokens are not carried over/],
    ['leftcert2=b.pem', /leftcert2: without leftauth2 it is only loaded/],
    ['rightsigkey=dns:AQID', /convert the key with "pki --pub"/],
    ['leftca="CN=CA"', /leftca: has no counterpart for the local side; name the certificate/],
  ])('%s', (line, message) => expect(otherMessages(ipsec(conn(line)))).toEqual([expect.stringMatching(message)]));

  it.each([
    ['cachecrls=yes', /charon.cache_crls = yes in strongswan.conf/],
    ['charondebug="ike 2"', /filelog in strongswan.conf/],
    ['nat_traversal=yes', /strongSwan has removed it/],
  ])('config setup: %s', (line, message) =>
    expect(otherMessages(ipsec(`config setup\n  ${line}\n${conn()}`))).toEqual([expect.stringMatching(message)]),
  );

  it('reauthentication is one warning for all conns', () =>
    expect(messages(ipsec(`${conn()}conn two\n  auto=add\n`))).toEqual([
      expect.stringMatching(/^1: net, two: the IKE SA is torn down and set up again .*reauth=no rekeys/),
    ]));
});

describe('conns', () => {
  it('without auto= are left out with a word, unless others draw on them', () => {
    const config = ipsec(`conn base\n  leftid=a\nconn idle\n  leftid=b\n${conn('also=base', 'reauth=no')}`);
    expect(only(config).local.rounds[0]?.id).toBe('a');
    expect(messages(config)).toEqual(['3: conn idle is left out: strongSwan loads none without auto=add or start']);
  });

  it('with the same IKE SA become one connection with two children', () => {
    const config = ipsec(`${conn('leftsubnet=10.1.0.0/16')}conn two\n  also=net\n  leftsubnet=10.2.0.0/16\n`);
    expect(only(config)).toMatchObject({ name: 'net', children: [{ name: 'net' }, { name: 'two' }] });
    expect(otherMessages(config)).toEqual([
      '5: conn two becomes a child of net: both have the same IKE SA, as for strongSwan',
    ]);
  });

  it('with different peers stay apart', () =>
    expect(ipsec(`${conn()}conn two\n  right=192.0.2.2\n  auto=add\n`).connections).toHaveLength(2));
});

describe('ca sections', () => {
  it('become authorities', () =>
    expect(
      ipsec(
        'ca %default\n  auto=add\nca org\n  cacert=ca.pem\n  crluri=http://a/1\n  crluri2=http://a/2\n  ocspuri1=http://a/3\n' +
          '  certuribase=http://a/\n',
      ).authorities,
    ).toEqual([
      {
        name: 'org',
        place: { file: '/etc/ipsec.conf', line: 3 },
        file: '/etc/ipsec.d/cacerts/ca.pem',
        crlUris: ['http://a/1', 'http://a/2'],
        ocspUris: ['http://a/3'],
        certificateUriBase: 'http://a/',
      },
    ]));

  it('without a certificate are left out with a word, with auto=ignore without', () =>
    expect(messages(ipsec('ca a\n  auto=add\nca b\n  cacert=x\n'))).toEqual([
      '1: ca a is left out, as by strongSwan: it has no usable cacert',
    ]));
});

it('certificates that strongSwan loads by themselves are found in their folders', () => {
  const files = { '/etc/ipsec.d/cacerts/ca.pem': 'x', '/etc/ipsec.d/crls/a.crl': 'x', '/etc/ipsec.d/certs/a.pem': 'x' };
  expect(ipsec(conn(), files).credentials).toEqual([
    { kind: 'certificate', type: 'x509ca', file: '/etc/ipsec.d/cacerts/ca.pem' },
    { kind: 'certificate', type: 'x509crl', file: '/etc/ipsec.d/crls/a.crl' },
  ]);
});

it('a file that is not there is an error that names it', () =>
  expect(importErrorOf(() => ipsec(conn(), {}, { secretsPath: '/none' }))).toMatchObject({
    code: 'cannot-read',
    where: '/none',
  }));
