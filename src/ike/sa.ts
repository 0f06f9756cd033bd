import type { ViciChildSa, ViciIkeSa } from '../vici/index.ts';

/** A CHILD SA as charon lists it. */
export interface ChildSa {
  /** Name of its configuration. */
  readonly name: string;
  readonly uniqueId: number;
  /** Shared with the policies that lead into it; 0 until it is installed. */
  readonly reqid: number;
  /** Of the XFRM interface that it belongs to; 0 for none. */
  readonly ifId: number;
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
  /** Of a registration: whether a request for a mediation, or the answer to a peer's, is under way or waits in it. */
  readonly isMediating: boolean;
  readonly childSas: readonly ChildSa[];
}

/** charon's name for the task of an ME_CONNECT exchange (task.c). */
const MEDIATION_TASK = 'IKE_ME';

/** An IKE SA from charon's spelling of it. What an SA that is not established lacks is empty or 0. */
export function ikeSaOf(sa: ViciIkeSa): IkeSa {
  return {
    name: sa.name,
    uniqueId: sa.uniqueid,
    state: sa.state,
    initiator: sa.initiator,
    initiatorSpi: sa['initiator-spi'],
    localHost: sa['local-host'],
    localPort: sa['local-port'],
    remoteHost: sa['remote-host'],
    remotePort: sa['remote-port'],
    localId: sa['local-id'],
    remoteId: sa['remote-id'],
    nat: sa['nat-any'] || sa['nat-local'] || sa['nat-remote'],
    establishedSeconds: sa.established,
    rekeyInSeconds: sa['rekey-time'],
    isMediating: [...sa['tasks-queued'], ...sa['tasks-active']].includes(MEDIATION_TASK),
    childSas: [...sa['child-sas'].values()].map(childSaOf),
  };
}

function childSaOf(sa: ViciChildSa): ChildSa {
  return {
    name: sa.name,
    uniqueId: sa.uniqueid,
    reqid: sa.reqid,
    ifId: Number.parseInt(sa['if-id-in'] ?? '0', 16),
    state: sa.state,
    spiIn: sa['spi-in'] ?? '',
    spiOut: sa['spi-out'] ?? '',
    bytesIn: sa['bytes-in'] ?? 0,
    bytesOut: sa['bytes-out'] ?? 0,
    packetsIn: sa['packets-in'] ?? 0,
    packetsOut: sa['packets-out'] ?? 0,
    installedSeconds: sa['install-time'],
    rekeyInSeconds: sa['rekey-time'],
    localTs: sa['local-ts'],
    remoteTs: sa['remote-ts'],
  };
}
