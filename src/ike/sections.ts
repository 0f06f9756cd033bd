import type { ViciSection, ViciValue } from '../vici/index.ts';
import { childrenOf, type ChildConfig, type Connection, type IkeParameters } from './connection.ts';
import { OUTSIDE_MARK, type Steering, type TrapPolicy } from './steering.ts';

/**
 * The `load-conn` request for one connection. The only place that knows charon's spelling of these options.
 *
 * @param cas CAs, DER: a peer must present a certificate that one of them issued
 */
export function loadConnRequest(connection: Connection | Steering, ...cas: readonly Uint8Array[]): ViciSection {
  const options = connection.kind === 'steering' ? steeringOptions(connection, cas) : tunnelOptions(connection, cas);
  return section({ [connection.name]: section(options) });
}

function tunnelOptions(connection: Connection, cas: readonly Uint8Array[]): Record<string, ViciValue> {
  return {
    version: '2',
    ...mediationOptions(connection),
    ...remoteOptions(connection),
    mobike: yesNo(connection.ike.mobike),
    encap: yesNo(connection.ike.encap),
    ...ikeOptions(connection.ike),
    // A node that comes back (restart, new address) replaces what is left of its former self.
    unique: 'replace',
    // No `certs`: charon takes the newest certificate of this identity whose key it has (credential_manager.c,
    // mem_cred.c). A renewal then changes no connection, and charon goes on using the SAs of those that it has.
    local: section({ auth: 'pubkey', id: connection.localId }),
    remote: section({ auth: 'pubkey', id: connection.remoteId, cacerts: cas }),
    ...childrenOption(childrenOf(connection).map((child) => [child.name, childSection(child)])),
  };
}

/**
 * Longer than a part of a host name can be, so that charon finds no address without asking anybody. It then installs traps
 * for any address (trap_manager.c), and gives up at once when a trap without an SA makes it set one up (ike_sa.c).
 */
const NO_HOST = 'has-no-address-'.padEnd(64, '-');
/** Of the addresses that are nobody's (RFC 5737): charon compares it first, and then asks nobody for the name above. */
const NO_ADDRESS = '192.0.2.1';
/** Nobody has a certificate of this name: the connection is never anybody's answer. */
const NOBODY = 'cygnet.nobody.invalid';

function steeringOptions(steering: Steering, cas: readonly Uint8Array[]): Record<string, ViciValue> {
  const traps = 'direct' in steering ? [...steering.lasting, steering.direct] : steering.lasting;
  return {
    version: '2',
    local_addrs: [NO_ADDRESS],
    remote_addrs: [NO_HOST],
    local: section({ auth: 'pubkey', id: NOBODY }),
    remote: section({ auth: 'pubkey', id: NOBODY, cacerts: cas }),
    ...childrenOption(traps.map((trap) => [trap.name, trapSection(trap)])),
  };
}

/** charon installs what drops for both directions, and for no XFRM interface (shunt_manager.c): what goes out never has this mark. */
const NOBODYS_MARK = 0x7447_7447;

function trapSection({ localSelectors, remoteSelectors, reqid }: TrapPolicy): ViciSection {
  return section({
    local_ts: localSelectors,
    remote_ts: remoteSelectors,
    ...(reqid === undefined ? { mode: 'drop', mark_out: hex(NOBODYS_MARK) } : { reqid: String(reqid) }),
    start_action: 'none',
    close_action: 'none',
    dpd_action: 'clear',
  });
}

function mediationOptions(connection: Connection): Record<string, ViciValue> {
  switch (connection.kind) {
    case 'mediation-server':
    case 'mediation-client':
      return { mediation: 'yes' };
    case 'mediated-peer':
      return { mediated_by: connection.mediatedBy, mediation_peer: connection.mediationPeer };
    case 'hub':
    case 'spoke':
      return {};
  }
}

function remoteOptions(connection: Connection): Record<string, ViciValue> {
  if (connection.kind !== 'mediation-client' && connection.kind !== 'spoke') return {};
  const { remoteAddresses, virtualIps } = connection;
  return { remote_addrs: remoteAddresses, ...(virtualIps.length > 0 && { vips: virtualIps }) };
}

/**
 * strongSwan's ipsec.conf counts back from the end (lifetime, margin), VICI counts forward: rekeying starts at
 * `rekey_time` less up to `rand_time`, and the SA ends `over_time` after `rekey_time`.
 */
function ikeOptions(ike: IkeParameters): Record<string, ViciValue> {
  return {
    ...(ike.proposals.length > 0 && { proposals: ike.proposals }),
    ...(ike.lifetimeSeconds > 0 && {
      rekey_time: seconds(ike.lifetimeSeconds - ike.marginSeconds),
      over_time: seconds(ike.marginSeconds),
      rand_time: seconds(ike.marginSeconds),
    }),
    ...(ike.lifetimeSeconds === 0 && { rekey_time: seconds(0) }),
    keyingtries: String(ike.keyingTries),
    dpd_delay: seconds(ike.dpdDelaySeconds),
  };
}

function childrenOption(children: readonly (readonly [string, ViciSection])[]): Record<string, ViciValue> {
  return children.length === 0 ? {} : { children: section(Object.fromEntries(children)) };
}

/** No start, close or DPD action: charon would go to a stale address, past the mediator. The agent initiates. */
function childSection(child: ChildConfig): ViciSection {
  return section({
    local_ts: child.localSubnets,
    remote_ts: child.remoteSubnets,
    ...(child.proposals.length > 0 && { esp_proposals: child.proposals }),
    ...(child.lifetimeSeconds > 0 && {
      rekey_time: seconds(child.lifetimeSeconds - child.marginSeconds),
      life_time: seconds(child.lifetimeSeconds),
      rand_time: seconds(child.marginSeconds),
    }),
    ...(child.lifetimeSeconds === 0 && { rekey_time: seconds(0) }),
    priority: String(child.priority),
    ...(child.reqid !== undefined && { policies: 'no', reqid: String(child.reqid) }),
    ...(child.ifId !== undefined && {
      if_id_in: String(child.ifId),
      if_id_out: String(child.ifId),
      set_mark_out: `${hex(OUTSIDE_MARK)}/${hex(OUTSIDE_MARK)}`,
    }),
    start_action: 'none',
    close_action: 'none',
    dpd_action: 'clear',
  });
}

/** A section from a plain object, in its order. */
export function section(fields: Readonly<Record<string, ViciValue>>): ViciSection {
  return new Map(Object.entries(fields));
}

/** A VICI value as plain data for a schema: sections become objects without a prototype. */
export function plainOf(value: ViciValue): unknown {
  if (!(value instanceof Map)) return value;
  const plain = Object.create(null) as Record<string, unknown>;
  for (const [key, inner] of value) plain[key] = plainOf(inner);
  return plain;
}

function seconds(count: number): string {
  return `${Math.max(0, count)}s`;
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
