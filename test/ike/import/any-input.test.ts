import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { issueIkeCertificate } from '../../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../../src/identity/keys.ts';
import { ImportError } from '../../../src/ike/import/import-error.ts';
import type { ImportedConfig } from '../../../src/ike/import/imported.ts';
import { loadConnectionRequest } from '../../../src/ike/import/load-commands.ts';
import { readConfig, type ReadConfigOptions } from '../../../src/ike/import/read-config.ts';
import { formatSwanctlConf } from '../../../src/ike/import/swanctl-text.ts';
import { encodeMessage } from '../../../src/vici/message.ts';
import { meshCa, publicKeyOf } from '../../identity/mesh.ts';
import { memoryDisk, swanctl } from './memory-disk.ts';

const RUNS = 5000;

const values = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'yes',
    'no',
    '%any',
    '%config',
    '10.1.0.0/16',
    '10.1.0.0/16[tcp/80]',
    '192.0.2.1',
    'dynamic',
  ),
  fc.constantFrom(
    '1h',
    '5',
    '0',
    '5%',
    'psk',
    'pubkey',
    'eap-md5',
    'a.pem',
    '0sAQID',
    'aes128-sha256!',
    '!',
    '',
    'start',
  ),
  fc.constantFrom(
    'ikev1',
    'trap|start',
    'restart',
    'hold',
    '"quoted, # text"',
    '"a\\\nb"',
    '%mtu',
    'a, b,,c',
    '__proto__',
  ),
  fc.string({ maxLength: 8 }),
);
const lineOf = (keys: readonly string[], separator: string) =>
  fc.tuple(fc.constantFrom(...keys), values).map(([key, value]) => `  ${key}${separator}${value}\n`);

const conns = fc.constantFrom(
  'conn a\n',
  'conn b\n',
  'conn %default\n',
  'ca c\n',
  'config setup\n',
  'include /etc/none*\n',
);
const ipsecKeys = (
  'also auto mediation mediated_by me_peerid leftid rightid leftsubnet rightsubnet leftsourceip rightsourceip left right ' +
  'keylife lifetime ikelifetime rekeymargin rekeyfuzz rekey reauth esp ah ike leftcert leftcert2 leftauth leftauth2 authby ' +
  'leftsigkey rightca mark tfc type dpdaction closeaction leftprotoport rightdns rightgroups cacert crluri uniqueids'
).split(' ');
const ipsecText = fc
  .array(
    fc.oneof(
      { weight: 1, arbitrary: conns },
      { weight: 1, arbitrary: fc.constant('  auto=start\n') },
      { weight: 4, arbitrary: lineOf(ipsecKeys, '=') },
    ),
    { maxLength: 25 },
  )
  .map((lines) => `conn first\n${lines.join('')}`);

const swanctlKeys = (
  'version local_addrs remote_addrs mediation mediated_by mediation_peer rekey_time reauth_time proposals vips pools unique ' +
  'id auth certs cacerts pubkeys groups round local_ts remote_ts start_action mode mark_in life_bytes updown addrs dns cacert ' +
  'file secret id-1'
).split(' ');
const { tree } = fc.letrec<{ tree: string; section: string }>((tie) => ({
  tree: fc
    .array(
      fc.oneof(
        { maxDepth: 4, weight: 2, arbitrary: lineOf(swanctlKeys, ' = ') },
        { weight: 1, arbitrary: tie('section') },
      ),
      { maxLength: 6 },
    )
    .map((parts) => parts.join('')),
  section: fc
    .tuple(
      fc.constantFrom('net', 'local', 'remote', 'children', 'net : connections.a', 'ike-1', 'private', '__proto__'),
      tie('tree'),
    )
    .map(([name, inner]) => `${name} {\n${inner}}\n`),
}));
const swanctlText = fc
  .array(fc.tuple(fc.constantFrom('connections', 'secrets', 'pools', 'authorities'), tree), { maxLength: 4 })
  .map(
    (sections) =>
      `connections { }\n${sections.map(([name, inner]) => `${name} { one { ${inner} } ${inner} }\n`).join('')}`,
  );

const secretsText = fc
  .array(fc.tuple(fc.constantFrom('a : PSK ', ': RSA ', '"a b" c : EAP ', ': P12 ', '# ', ''), values), {
    maxLength: 5,
  })
  .map((lines) => lines.map((parts) => `${parts.join('')}\n`).join(''));

const bytesOf = (text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> => text.map((written) => Buffer.from(written));
const sensible = bytesOf(fc.oneof(ipsecText, swanctlText));
/** Sensible text, sensible text with a piece of something else in it, and bytes. */
const anything = fc.oneof(
  sensible,
  fc.tuple(sensible, fc.nat(), fc.uint8Array({ maxLength: 8 })).map(([bytes, at, piece]) => {
    const cut = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, cut), piece, bytes.subarray(cut)]);
  }),
  fc.uint8Array({ maxLength: 300 }),
  bytesOf(fc.string({ unit: 'binary', maxLength: 300 })),
);

/**
 * What reading gives; an ImportError that names a file counts as undefined, and everything else that is thrown fails.
 */
function readOf(
  main: Uint8Array,
  secrets: Uint8Array,
  options: Partial<ReadConfigOptions>,
): ImportedConfig | undefined {
  const files = {
    '/etc/main': main,
    '/etc/ipsec.secrets': secrets,
    '/etc/ipsec.d/cacerts/ca.pem': 'x',
    '/etc/private/k': '',
  };
  try {
    return readConfig('/etc/main', { disk: memoryDisk(files), ...options });
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    const file = typeof error.where === 'string' ? error.where : error.where.file;
    expect(Object.keys(files)).toContain(file);
    return undefined;
  }
}

let certificate: Uint8Array;
beforeAll(async () => {
  const key = publicKeyOf(await generatePrivateKey('ecdsa-p256'));
  certificate = Buffer.from(
    await issueIkeCertificate(await meshCa(), { node: 'edge1', publicKey: key, nowMs: Date.now() }),
  );
});

describe('whatever the files hold', () => {
  it.each([['ipsec'], ['swanctl'], [undefined]] as const)(
    'reading it as %s gives a configuration, or an error that says where',
    (source) => {
      let read = 0;
      fc.assert(
        fc.property(anything, fc.oneof(bytesOf(secretsText), anything), (main, secrets) => {
          if (readOf(main, secrets, { source }) !== undefined) read += 1;
        }),
        { numRuns: RUNS },
      );
      // Otherwise nothing behind the grammar would be tested.
      expect(read).toBeGreaterThan(RUNS / 50);
    },
  );

  it.each([
    ['ipsec', ipsecText],
    ['swanctl', swanctlText],
  ] as const)('a configuration read as %s can be written as swanctl.conf, and as VICI messages', (source, text) => {
    let written = 0;
    fc.assert(
      fc.property(text, (main) => {
        const config = readOf(Buffer.from(main), Buffer.of(), { source });
        if (config === undefined) return;
        for (const connection of config.connections) {
          encodeMessage(loadConnectionRequest(connection, () => certificate));
        }
        const again = swanctl(formatSwanctlConf(config));
        expect(again.connections.map(({ children }) => children.length)).toEqual(
          config.connections.map(({ children }) => children.length),
        );
        written += config.connections.length;
      }),
      { numRuns: RUNS },
    );
    expect(written).toBeGreaterThan(RUNS / 50);
  });
});

it('text as long as the limits allow hangs nowhere', () => {
  const hostile = ['"', '\\', '# ', 'a=', 'conn a\n', ' \t', '{', 'a { ', ' : ', '[', '* ', '\n \n', "a 'b' ", '%'];
  for (const part of hostile) {
    const text = Buffer.from(`${part}\n`.repeat(Math.floor(500_000 / (part.length + 1))));
    readOf(text, text, { source: 'ipsec' });
    readOf(text, text, { source: 'swanctl' });
  }
});
