import { z } from 'zod';
import type { ViciSection } from '../vici/message.ts';
import { plainOf } from './sections.ts';

/** A CHILD SA as charon lists it. */
export interface ChildSa {
  /** Name of its configuration. */
  readonly name: string;
  readonly uniqueId: number;
  /** charon's word: INSTALLED, REKEYED, CREATED, … */
  readonly state: string;
  /** Hex, as charon and `ip xfrm` print them. */
  readonly spiIn: string;
  readonly spiOut: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly installedSeconds: number | undefined;
  readonly rekeyInSeconds: number | undefined;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

/** An IKE SA as charon lists it. Its unique id is valid until this charon process ends. */
export interface IkeSa {
  /** Name of its connection. */
  readonly name: string;
  readonly uniqueId: number;
  /** charon's word: CREATED, CONNECTING, ESTABLISHED, REKEYED, DELETING, … */
  readonly state: string;
  readonly initiator: boolean;
  /** The same at both ends: names the SA across the link. */
  readonly initiatorSpi: string;
  readonly localHost: string;
  readonly localPort: number;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly localId: string;
  readonly remoteId: string;
  readonly nat: boolean;
  /** Only of an ESTABLISHED SA. */
  readonly establishedSeconds: number | undefined;
  readonly rekeyInSeconds: number | undefined;
  readonly childSas: readonly ChildSa[];
}

const number = z.coerce.number();
const text = z.string().default('');
const selectors = z.array(z.string()).default([]);

const childSaFields = z.object({
  name: z.string(),
  uniqueid: number,
  state: z.string(),
  'spi-in': text,
  'spi-out': text,
  'bytes-in': number.default(0),
  'bytes-out': number.default(0),
  'packets-in': number.default(0),
  'packets-out': number.default(0),
  'install-time': number.exactOptional(),
  'rekey-time': number.exactOptional(),
  'local-ts': selectors,
  'remote-ts': selectors,
});

const ikeSaFields = z.object({
  uniqueid: number,
  state: z.string(),
  initiator: z.string().exactOptional(),
  'initiator-spi': text,
  'local-host': text,
  'local-port': number.default(0),
  'local-id': text,
  'remote-host': text,
  'remote-port': number.default(0),
  'remote-id': text,
  'nat-any': z.string().exactOptional(),
  'nat-local': z.string().exactOptional(),
  'nat-remote': z.string().exactOptional(),
  established: number.exactOptional(),
  'rekey-time': number.exactOptional(),
  'child-sas': z.record(z.string(), childSaFields).default({}),
});

/**
 * Reads the body of one `list-sa` event: a section per IKE SA, under its connection's name. Throws a ZodError when
 * charon leaves out what every version sends (name, unique id, state).
 */
export function ikeSasOf(listSa: ViciSection): IkeSa[] {
  return [...listSa].map(([name, section]) => ikeSaOf(name, ikeSaFields.parse(plainOf(section))));
}

function ikeSaOf(name: string, fields: z.output<typeof ikeSaFields>): IkeSa {
  return {
    name,
    uniqueId: fields.uniqueid,
    state: fields.state,
    // charon sends its flags only when they are true.
    initiator: fields.initiator === 'yes',
    initiatorSpi: fields['initiator-spi'],
    localHost: fields['local-host'],
    localPort: fields['local-port'],
    remoteHost: fields['remote-host'],
    remotePort: fields['remote-port'],
    localId: fields['local-id'],
    remoteId: fields['remote-id'],
    nat: [fields['nat-any'], fields['nat-local'], fields['nat-remote']].includes('yes'),
    establishedSeconds: fields.established,
    rekeyInSeconds: fields['rekey-time'],
    childSas: Object.values(fields['child-sas']).map(childSaOf),
  };
}

function childSaOf(fields: z.output<typeof childSaFields>): ChildSa {
  return {
    name: fields.name,
    uniqueId: fields.uniqueid,
    state: fields.state,
    spiIn: fields['spi-in'],
    spiOut: fields['spi-out'],
    bytesIn: fields['bytes-in'],
    bytesOut: fields['bytes-out'],
    packetsIn: fields['packets-in'],
    packetsOut: fields['packets-out'],
    installedSeconds: fields['install-time'],
    rekeyInSeconds: fields['rekey-time'],
    localTs: fields['local-ts'],
    remoteTs: fields['remote-ts'],
  };
}
