import type { ImportedChild, ImportedConnection, Mediation } from './imported.ts';

/** A connection before its part in mediation is settled. */
export interface MediationDraft {
  readonly connection: Omit<ImportedConnection, 'mediation'>;
  readonly mediation: boolean;
  readonly mediatedBy?: string | undefined;
  readonly mediationPeer?: string | undefined;
  /** For a mediation connection, whose children do not count. */
  readonly start: boolean;
}

type Warn = (message: string) => void;

/**
 * Settles a connection's part in IKEv2 mediation, and brings it into the one form in which charon's mediation works:
 * IKEv2, no MOBIKE, nothing that would go straight to a peer's old address, and always a `mediation_peer`, without
 * which 5.9.8 crashes. Undefined when the connection cannot be loaded at all.
 */
export function settleMediation(draft: MediationDraft, warn: Warn): ImportedConnection | undefined {
  const { connection, mediation, mediatedBy } = draft;
  if (mediation && mediatedBy !== undefined) {
    warn(`${connection.name} is left out, as by strongSwan: mediation and mediated_by exclude each other`);
    return undefined;
  }
  if (mediation) return mediationConnection(draft, warn);
  if (mediatedBy !== undefined) return mediatedConnection(draft, mediatedBy, warn);
  return { ...connection, mediation: { kind: 'none' } };
}

function mediationConnection({ connection, start }: MediationDraft, warn: Warn): ImportedConnection {
  const { name, ike, local } = connection;
  if (local.rounds[0]?.id === undefined) {
    warn(`${name}: name the own identity; it is how others find this node at the mediator`);
  }
  if (start && (ike.dpdDelaySeconds ?? 0) === 0) {
    warn(
      `${name}: without liveness checks a restart of the mediator is never noticed; set dpdaction=clear and dpddelay`,
    );
  }
  if (start) {
    warn(`${name}: swanctl.conf cannot start a mediation connection; run swanctl --initiate --ike ${name}`);
  }
  const kind: Mediation = { kind: 'mediation', start };
  // charon forces this one.
  return {
    ...connection,
    mediation: kind,
    ike: { ...ikeForMediation(connection, warn), unique: 'replace' },
    children: [],
  };
}

function mediatedConnection(draft: MediationDraft, by: string, warn: Warn): ImportedConnection | undefined {
  const { connection } = draft;
  const { name } = connection;
  const peer = draft.mediationPeer ?? connection.remote.rounds[0]?.id;
  if (peer === undefined) {
    warn(
      `${name} is left out: it names neither the peer at the mediator nor its identity, and charon would crash on it`,
    );
    return undefined;
  }
  if (connection.children.some(({ startAction }) => startAction?.includes('start'))) {
    warn(
      `${name}: start it from one end only (auto=add on the other), or there will be two of each SA; and only while ` +
        `${by} is up, or charon never mediates between the two again`,
    );
  }
  return {
    ...connection,
    mediation: { kind: 'mediated', by, peer },
    ike: ikeForMediated(connection, warn),
    remote: withoutAddresses(connection, warn),
    children: connection.children.map((child) => childForMediated(name, child, warn)),
  };
}

function ikeForMediation({ name, ike }: MediationDraft['connection'], warn: Warn): ImportedConnection['ike'] {
  if (ike.mobike !== false) warn(`${name}: mobike is turned off, since mediation does not work with it`);
  if (ike.version === 1) warn(`${name}: mediation exists for IKEv2 only, so that is what it uses now`);
  return { ...ike, mobike: false, version: 2 };
}

function ikeForMediated(connection: MediationDraft['connection'], warn: Warn): ImportedConnection['ike'] {
  const ike = ikeForMediation(connection, warn);
  const { reauthSeconds = 0, keyingTries = 1 } = ike;
  if (reauthSeconds > 0) {
    warn(`${connection.name}: rekeys instead of reauthenticating, which would go past the mediator to an old address`);
  }
  if (keyingTries !== 1) {
    warn(`${connection.name}: is tried once (keyingtries=1), since further tries would go past the mediator`);
  }
  const rekeySeconds = reauthSeconds > 0 ? reauthSeconds : ike.rekeySeconds;
  return { ...ike, reauthSeconds: reauthSeconds > 0 ? 0 : ike.reauthSeconds, rekeySeconds, keyingTries: 1 };
}

function withoutAddresses({ name, remote }: MediationDraft['connection'], warn: Warn): ImportedConnection['remote'] {
  const { addresses = [] } = remote;
  if (addresses.length > 0) {
    warn(`${name}: the peer's address ${addresses.join(', ')} is left out; the mediator says where the peer is`);
  }
  return { ...remote, addresses: [], port: undefined };
}

function childForMediated(name: string, child: ImportedChild, warn: Warn): ImportedChild {
  const { startAction, dpdAction = 'none', closeAction = 'none' } = child;
  if (startAction?.includes('trap')) {
    warn(`${name}: cannot wait for traffic (auto=route), since the peer has no address until it is mediated`);
  }
  if (dpdAction !== 'none' || closeAction !== 'none') {
    warn(
      `${name}: does not come back by itself when the peer goes (dpdaction, closeaction): start it through the mediator`,
    );
  }
  const starts = startAction?.includes('start') ?? false;
  return { ...child, startAction: starts ? 'start' : 'none', dpdAction: 'none', closeAction: 'none' };
}

/** Warns of mediated connections whose mediation connection is not there. */
export function checkMediators(
  connections: readonly ImportedConnection[],
  warn: (connection: ImportedConnection, message: string) => void,
): void {
  const mediators = new Set(
    connections.filter(({ mediation }) => mediation.kind === 'mediation').map(({ name }) => name),
  );
  for (const connection of connections) {
    const { mediation, name } = connection;
    if (mediation.kind === 'mediated' && !mediators.has(mediation.by)) {
      warn(connection, `${name}: there is no mediation connection ${mediation.by}; it can never be set up without`);
    }
  }
}
