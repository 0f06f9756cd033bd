import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { issueIkeCertificate } from '../../../src/identity/certificates.ts';
import { ImportError } from '../../../src/ike/import/import-error.ts';
import type { ImportedConfig } from '../../../src/ike/import/imported.ts';
import { loadCommands, loadConnectionRequest, type LoadCommand } from '../../../src/ike/import/load-commands.ts';
import { meshCa, publicKeyOf } from '../../identity/mesh.ts';
import { importErrorOf, ipsec, only, swanctl } from './memory-disk.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const LOCKED_KEY = privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hush' })
  .toString();

let certificate: string;
beforeAll(async () => {
  certificate = await issueIkeCertificate(await meshCa(), {
    node: 'edge1',
    publicKey: publicKeyOf(KEY),
    nowMs: Date.now(),
  });
});

/** Every file holds the same certificate or key, by its name. */
const readFile = (path: string): Uint8Array => Buffer.from(path.includes('key') ? KEY : certificate);
const commandsOf = (config: ImportedConfig, read = readFile): readonly LoadCommand[] => loadCommands(config, read);

describe('load-conn', () => {
  it('has charon’s spelling, certificates as DER, and nothing that is left to charon', () => {
    const connection = only(
      swanctl(`connections { net {
        version = 2
        remote_addrs = 192.0.2.1
        proposals = default
        mobike = no
        rekey_time = 1h
        local { auth = pubkey
          certs = a.pem }
        local-2 { auth = eap-md5 }
        remote { id = b
          pubkeys = key.pem, 0sAQID }
        children { net { remote_ts = 10.1.0.0/16, 10.2.0.0/16
          start_action = start
          life_bytes = 1k } } } }`),
    );
    expect(loadConnectionRequest(connection, readFile)).toEqual({
      net: {
        version: '2',
        remote_addrs: ['192.0.2.1'],
        proposals: ['default'],
        mobike: 'no',
        rekey_time: '3600s',
        local: { auth: 'pubkey', certs: [new X509Certificate(certificate).raw] },
        'local-2': { auth: 'eap-md5' },
        remote: { id: 'b', pubkeys: [Buffer.from(KEY), Buffer.from('010203', 'hex')] },
        children: {
          net: { remote_ts: ['10.1.0.0/16', '10.2.0.0/16'], start_action: 'start', life_bytes: '1024' },
        },
      },
    });
  });

  it('never starts a mediated connection, and always names the peer at the mediator', () => {
    const config = ipsec(
      'conn peer\n  rightid=b\n  mediated_by=medsrv\n  auto=start\nconn medsrv\n  mediation=yes\n  auto=start\n',
    );
    expect(commandsOf(config).map(({ request }) => request)).toMatchObject([
      { peer: { mediated_by: 'medsrv', mediation_peer: 'b', children: { peer: { start_action: 'none' } } } },
      { medsrv: { mediation: 'yes', unique: 'replace' } },
    ]);
  });

  it('takes names that mean something to JavaScript as what they are', () => {
    const connection = only(swanctl('connections { __proto__ { children { __proto__ { reqid = 7 } } } }'));
    const request = loadConnectionRequest(connection, readFile);
    expect(Object.entries(request).map(([name, tree]) => [name, JSON.stringify(tree)])).toEqual([
      ['__proto__', '{"children":{"__proto__":{"reqid":"7"}}}'],
    ]);
  });
});

describe('the commands of a configuration', () => {
  it('load what connections need before the connections', () => {
    const config = ipsec(
      'ca org\n  cacert=ca.pem\n  crluri=http://a/\n  auto=add\nconn net\n  rightsourceip=10.3.0.0/24\n  rightdns=10.3.0.1\n  auto=add\n',
      {
        '/etc/ipsec.secrets': 'a b : PSK 0x616263\n: RSA key.pem\n',
        '/etc/ipsec.d/cacerts/ca.pem': '',
        '/etc/ipsec.d/crls/org.crl': '',
      },
    );
    const der = new X509Certificate(certificate).raw;
    expect(commandsOf(config).slice(0, -1)).toEqual([
      { command: 'load-pool', request: { 'pool-10-3-0-0-24': { addrs: '10.3.0.0/24', dns: ['10.3.0.1'] } } },
      { command: 'load-authority', request: { org: { cacert: der, crl_uris: ['http://a/'] } } },
      { command: 'load-cert', request: { type: 'X509', flag: 'CA', data: der } },
      { command: 'load-cert', request: { type: 'X509_CRL', data: Buffer.from(certificate) } },
      { command: 'load-shared', request: { id: 'ike-1', type: 'ike', data: Buffer.from('abc'), owners: ['a', 'b'] } },
      { command: 'load-key', request: { type: 'rsa', data: Buffer.from(KEY) } },
    ]);
    expect(commandsOf(config).at(-1)?.command).toBe('load-conn');
  });

  it('decrypt a key that has a passphrase, since charon does not', () => {
    const config = ipsec('config setup\n', { '/etc/ipsec.secrets': ': ECDSA key.pem hush\n' });
    const [command] = commandsOf(config, () => Buffer.from(LOCKED_KEY));
    expect(command).toMatchObject({ command: 'load-key', request: { type: 'any' } });
    const data = command?.request['data'];
    expect(data).toBeInstanceOf(Uint8Array);
    const key = createPrivateKey({ key: Buffer.from(data as Uint8Array), format: 'der', type: 'pkcs8' });
    expect(key.equals(privateKey)).toBe(true);
  });

  it.each([
    [': ECDSA key.pem wrong\n', LOCKED_KEY, 'the key cannot be decrypted'],
    [': ECDSA key.pem hush\n', 'nonsense', 'the key cannot be decrypted'],
  ])('say which key cannot be opened (%#)', (secrets, content, detail) => {
    const config = ipsec('config setup\n', { '/etc/ipsec.secrets': secrets });
    const error = importErrorOf(() => commandsOf(config, () => Buffer.from(content)));
    expect(error).toMatchObject({ code: 'bad-credential', where: '/etc/ipsec.d/private/key.pem' });
    expect(error.detail).toContain(detail);
    expect(error.message).not.toMatch(/wrong|hush/);
  });

  it('say which file holds no certificate, and which one is not there', () => {
    const config = ipsec('conn net\n  leftcert=a.pem\n  auto=add\n');
    expect(importErrorOf(() => commandsOf(config, () => Buffer.from('nonsense')))).toMatchObject({
      code: 'bad-credential',
      where: '/etc/ipsec.d/certs/a.pem',
    });
    const missing = new ImportError('cannot-read', '/etc/ipsec.d/certs/a.pem', 'there is no such file');
    const read = (): Uint8Array => {
      throw missing;
    };
    expect(importErrorOf(() => commandsOf(config, read))).toBe(missing);
  });
});
