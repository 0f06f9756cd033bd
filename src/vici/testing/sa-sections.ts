import type { ViciInput, ViciInputValue } from '../message.ts';
import type { ViciChildSa, ViciIkeSa } from '../protocol/sas.ts';

/** What an IKE SA says of itself besides its name; what is left out has the value of an ordinary tunnel. */
export type IkeSaFields = Partial<Omit<ViciIkeSa, 'name' | 'uniqueid' | 'child-sas'>>;
/** What a CHILD SA says of itself besides its name. */
export type ChildSaFields = Partial<Omit<ViciChildSa, 'name' | 'uniqueid'>>;
/** The addresses that an IKE SA may move to. */
export type IkeSaAddresses = Pick<IkeSaFields, 'local-host' | 'local-port' | 'remote-host' | 'remote-port'>;

/** An IKE SA of the fake, to be handed back to its methods; of no use any more when the SA is down or rekeyed. */
export interface FakeIkeSa {
  /** Of its connection. */
  readonly name: string;
  /** Counts from 1 in each life. */
  readonly uniqueid: number;
  /** What list-sas and the events tell of it. */
  readonly fields: IkeSaFields;
  /** With the rekeyed one that charon still lists, as DELETED. */
  readonly children: ReadonlySet<FakeChildSa>;
}

/** A CHILD SA of the fake. */
export interface FakeChildSa {
  /** Of its configuration. */
  readonly name: string;
  /** Counts from 1 in each life. */
  readonly uniqueid: number;
  /** What list-sas and the events tell of it. */
  readonly fields: ChildSaFields;
}

/** A section as it is sent. */
export type SaSection = ReadonlyMap<string, ViciInputValue>;

/** What charon tells of an established IKE SA only. */
const OF_ESTABLISHED = ['established', 'rekey-time', 'reauth-time'];
/** What a rekeyed SA does not have from its predecessor. */
const OF_ONE_IKE_SA = [...OF_ESTABLISHED, 'initiator-spi', 'responder-spi'];
const COUNTERS = ['bytes-in', 'packets-in', 'use-in', 'bytes-out', 'packets-out', 'use-out'];
const OF_ONE_CHILD_SA = [...COUNTERS, 'spi-in', 'spi-out', 'rekey-time', 'life-time', 'install-time'];

const ORDINARY_IKE_SA: IkeSaFields = {
  version: 2,
  state: 'ESTABLISHED',
  'local-host': '192.0.2.1',
  'local-port': 500,
  'local-id': '192.0.2.1',
  'remote-host': '192.0.2.2',
  'remote-port': 500,
  'remote-id': '192.0.2.2',
  initiator: true,
  'encr-alg': 'AES_GCM_16',
  'encr-keysize': 128,
  'prf-alg': 'PRF_HMAC_SHA2_256',
  'dh-group': 'CURVE_25519',
  established: 0,
  'rekey-time': 14_400,
};

const ORDINARY_CHILD_SA: ChildSaFields = {
  reqid: 1,
  state: 'INSTALLED',
  mode: 'TUNNEL',
  protocol: 'ESP',
  'encr-alg': 'AES_GCM_16',
  'encr-keysize': 128,
  'bytes-in': 0,
  'packets-in': 0,
  'bytes-out': 0,
  'packets-out': 0,
  'rekey-time': 3600,
  'life-time': 3960,
  'install-time': 0,
  'local-ts': ['10.1.0.0/24'],
  'remote-ts': ['10.2.0.0/24'],
};

/** The section of an IKE SA without its CHILD SAs, in another state if one is given. */
export function ikeSection({ uniqueid, fields }: FakeIkeSa, state?: string): SaSection {
  const spis = { 'initiator-spi': spi(uniqueid * 2, 16), 'responder-spi': spi(uniqueid * 2 + 1, 16) };
  const section = written({ uniqueid, ...ORDINARY_IKE_SA, ...spis, ...fields, ...(state !== undefined && { state }) });
  if (section.get('state') !== 'ESTABLISHED') for (const key of OF_ESTABLISHED) section.delete(key);
  return section;
}

/** The section of a CHILD SA, in another state if one is given. */
export function childSection({ name, uniqueid, fields }: FakeChildSa, state?: string): SaSection {
  const spis = { 'spi-in': spi(uniqueid * 2, 8), 'spi-out': spi(uniqueid * 2 + 1, 8) };
  return written({ name, uniqueid, ...ORDINARY_CHILD_SA, ...spis, ...fields, ...(state !== undefined && { state }) });
}

/** The section of an IKE SA with that of its CHILD SAs. */
export function withChildren(ike: SaSection, children: ViciInput): SaSection {
  return new Map<string, ViciInputValue>([...ike, ['child-sas', children]]);
}

/** charon's key of a CHILD SA in a list and in child-updown; child-rekey has the name alone. */
export function keyOf(child: FakeChildSa): string {
  return `${child.name}-${child.uniqueid}`;
}

/** Whether it was replaced by rekeying, and is listed only. */
export function isDeleted(child: FakeChildSa): boolean {
  return child.fields.state === 'DELETED';
}

/** What the successor of an IKE SA takes over. */
export function heritageOfIke(fields: IkeSaFields): IkeSaFields {
  return without(fields, OF_ONE_IKE_SA);
}

/** What the successor of a CHILD SA takes over. */
export function heritageOfChild(fields: ChildSaFields): ChildSaFields {
  return without(fields, OF_ONE_CHILD_SA);
}

function without<T extends object>(fields: T, keys: readonly string[]): T {
  return Object.fromEntries(Object.entries(fields).filter(([key]) => !keys.includes(key))) as T;
}

/** charon leaves flags out that are not set, and writes `esn` unlike the others. */
function written(fields: Readonly<Record<string, ViciInputValue | undefined>>): Map<string, ViciInputValue> {
  const section = new Map<string, ViciInputValue>();
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined && value !== false) section.set(key, key === 'esn' ? 1 : value);
  }
  return section;
}

function spi(number: number, digits: number): string {
  return (0xc0_00_00_00 + number).toString(16).padStart(digits, '0');
}
