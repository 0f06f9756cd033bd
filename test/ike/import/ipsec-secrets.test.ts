import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ImportedConfig, ImportedCredential } from '../../../src/ike/import/imported.ts';
import { importErrorOf, ipsec, messages } from './memory-disk.ts';

const SECRETS = '/etc/ipsec.secrets';
const read = (text: string, files = {}): ImportedConfig => ipsec('config setup\n', { [SECRETS]: text, ...files });
const credentials = (text: string): readonly ImportedCredential[] => read(text).credentials;

/** The revealed secret of a line. */
function secretOf(line: string): string | undefined {
  const [credential] = credentials(line);
  return credential?.kind === 'shared-key' ? Buffer.from(credential.secret.reveal()).toString('latin1') : undefined;
}

describe('private keys', () => {
  it.each([
    ['RSA', 'rsa'],
    ['ECDSA', 'ecdsa'],
    ['BLISS', 'bliss'],
    ['PKCS8', 'any'],
  ])('%s', (word, type) =>
    expect(credentials(`"C=CN, O=Local Cluster, CN=a" b.example : ${word} key.pem\n`)).toEqual([
      {
        kind: 'private-key',
        type,
        file: '/etc/ipsec.d/private/key.pem',
        owners: ['C=CN, O=Local Cluster, CN=a', 'b.example'],
        passphrase: undefined,
        place: { file: SECRETS, line: 1 },
      },
    ]),
  );

  it('may have an absolute path and a passphrase', () => {
    const [key] = credentials(': RSA \'/opt/my key.pem\' "pass phrase"\n');
    expect(key).toMatchObject({ kind: 'private-key', file: '/opt/my key.pem', owners: [] });
    expect(key?.kind === 'private-key' && Buffer.from(key.passphrase!.reveal()).toString()).toBe('pass phrase');
  });

  it('are not asked for: %prompt is a warning', () => {
    const config = read(': RSA key.pem %prompt\n');
    expect(config.credentials).toMatchObject([{ passphrase: undefined }]);
    expect(messages(config)).toEqual([expect.stringMatching(/^\/etc\/ipsec.secrets:1: %prompt: /)]);
  });
});

describe('shared secrets', () => {
  it.each([
    ['a : PSK "with blanks # and \'quotes\'"', "with blanks # and 'quotes'"],
    ["a : PSK 'single'", 'single'],
    ['a : PSK plain', 'plain'],
    ['a : PSK plain # comment', 'plain'],
    ['a : PSK 0x616263', 'abc'],
    ['a : PSK 0x1:61:62', '\u0001ab'],
    ['a : PSK 0sYWJj', 'abc'],
    ['a : PSK "0sYWJj"', '0sYWJj'],
    ['  a : PSK plain\r', 'plain'],
    ['a : PSK ""', ''],
  ])('%j', (line, secret) => expect(secretOf(line)).toBe(secret));

  it.each([
    ['PSK', 'ike'],
    ['EAP', 'eap'],
    ['XAUTH', 'xauth'],
    ['NTLM', 'ntlm'],
  ])('%s', (word, type) =>
    expect(credentials(`# c\n\n192.0.2.1 %any : ${word} x\n: ${word} y\n`)).toMatchObject([
      { kind: 'shared-key', type, name: `${type}-1`, owners: ['192.0.2.1', '%any'], place: { line: 3 } },
      { kind: 'shared-key', type, name: `${type}-2`, owners: [], place: { line: 4 } },
    ]),
  );

  it('show in no output', () => {
    const config = read('a : PSK verysecret\n: RSA key.pem "hush now"\n');
    for (const shown of [
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true }),
      config.credentials.map((credential) => ('secret' in credential ? credential.secret.toString() : '')).join(),
    ]) {
      expect(shown).not.toMatch(/verysecret|hush now/);
    }
    expect(JSON.stringify(config)).toContain('"secret":"<secret>"');
  });
});

describe('a line that makes no sense', () => {
  it.each([
    ['a: PSK verysecret', 'blank on both sides'],
    ['PSK verysecret', 'blank on both sides'],
    ['a : PSK', 'blank on both sides'],
    ['a : PSK # verysecret', 'secret is missing'],
    ['a : KEY verysecret', 'type must be'],
    ['a : constructor verysecret', 'type must be'],
    ['a : PSK "verysecret', 'never ends'],
    ['a : PSK 0xverysecret', 'not hex'],
    ['a : PSK 0s?verysecret', 'not base64'],
    [': RSA {', 'thing of the past'],
    [': RSA # key', 'key file is missing'],
  ])('%j is an error that names the line and never quotes it', (line, detail) => {
    const error = importErrorOf(() => read(`# first\n${line}\n`));
    expect(error).toMatchObject({ code: 'syntax', where: { file: SECRETS, line: 2 } });
    expect(error.detail).toContain(detail);
    expect(inspect(error)).not.toContain('verysecret');
  });

  it.each([
    ['P12 a.p12 "x"', /P12: .*\/etc\/swanctl\/pkcs12/],
    ['PIN %smartcard:50 1234', /PIN: .*secrets.token/],
  ])('%s is a warning', (line, message) => {
    const config = read(`: ${line}\n`);
    expect(config.credentials).toEqual([]);
    expect(messages(config)).toEqual([expect.stringMatching(message)]);
  });
});

describe('the file', () => {
  it('may include others, relative to itself', () => {
    const files = { '/etc/secrets.d/a': 'a : PSK x\n', '/etc/secrets.d/b': 'b : PSK y\n' };
    expect(read('include secrets.d/*\n', files).credentials).toMatchObject([{ name: 'ike-1' }, { name: 'ike-2' }]);
  });

  it('may be another than the one beside ipsec.conf', () =>
    expect(
      ipsec('config setup\n', { '/other': 'a : PSK x\n', [SECRETS]: 'nonsense' }, { secretsPath: '/other' })
        .credentials,
    ).toHaveLength(1));

  it.each([
    ['secrets', 'a : PSK x\n'.repeat(10_001)],
    ['identities of one', `${'a '.repeat(200)} : PSK x\n`],
  ])('has limits for %s', (_what, text) => expect(importErrorOf(() => read(text)).code).toBe('too-much'));
});
