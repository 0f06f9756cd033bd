import type { ViciSection, ViciValue } from '../../src/vici/message.ts';

/** A message as it can also stand in JSON. */
export interface JsonSection {
  readonly [key: string]: string | readonly string[] | JsonSection;
}

/** IKE SAs as `list-sa` shows them, each with one CHILD SA; about as many as a segment has room for. */
export function largeObject(): JsonSection {
  const count = 612;
  return Object.fromEntries(Array.from({ length: count }, (_unused, index) => [connectionName(index), ikeSa(index)]));
}

/** {@link largeObject} as the decoder would give it. */
export function largeMessage(): ViciSection {
  return asSection(largeObject());
}

/** The same content as Maps. */
export function asSection(object: JsonSection): ViciSection {
  const isItem = (value: JsonSection[string]): value is string | readonly string[] =>
    typeof value === 'string' || Array.isArray(value);
  return new Map(
    Object.entries(object).map(([name, value]): [string, ViciValue] => [
      name,
      isItem(value) ? value : asSection(value),
    ]),
  );
}

const connectionName = (index: number): string => `site-${10_000 + index}`;

function ikeSa(index: number): JsonSection {
  return {
    uniqueid: String(100_000 + index),
    version: '2',
    state: 'ESTABLISHED',
    'local-host': '192.0.2.1',
    'local-port': '4500',
    'local-id': 'hub.example.org',
    'remote-host': address(198, index),
    'remote-port': String(1024 + ((index * 7919) % 60_000)),
    'remote-id': `CN=site-${10_000 + index}, O=Example`,
    'initiator-spi': spi(index, 16),
    'responder-spi': spi(index + 77_777, 16),
    'nat-remote': 'yes',
    'nat-any': 'yes',
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'prf-alg': 'PRF_HMAC_SHA2_384',
    'dh-group': 'CURVE_25519',
    established: String(1 + ((index * 31) % 9000)),
    'rekey-time': String(1 + ((index * 37) % 14_400)),
    'child-sas': { [`net-${20_000 + index}`]: childSa(index) },
  };
}

function childSa(index: number): JsonSection {
  return {
    name: 'net',
    uniqueid: String(20_000 + index),
    reqid: String(index + 1),
    state: 'INSTALLED',
    mode: 'TUNNEL',
    protocol: 'ESP',
    encap: 'yes',
    'spi-in': spi(index, 8),
    'spi-out': spi(index + 5, 8),
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '256',
    'bytes-in': String(index * 65_537),
    'packets-in': String(index * 51),
    'bytes-out': String(index * 48_611),
    'packets-out': String(index * 49),
    'rekey-time': String(1 + ((index * 41) % 3300)),
    'life-time': String(1 + ((index * 43) % 3960)),
    'install-time': String(1 + ((index * 47) % 3600)),
    'local-ts': ['10.0.0.0/16', '10.9.0.0/16'],
    'remote-ts': [`${address(10, index)}/32`],
  };
}

const address = (network: number, index: number): string =>
  `${network}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;

/** Hexadecimal digits that differ between SAs, as SPIs do. */
const spi = (index: number, digits: number): string =>
  (BigInt(index + 1) * 0x9e37_79b9_7f4a_7c15n).toString(16).slice(-digits).padStart(digits, '0');
