import { childrenOf, STEERING_PREFIX, type Connection } from '../ike/connection.ts';
import type { ChildRef, DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';
import type { PathKind } from '../ike/steering.ts';
import type { ChildSaReport, ConnectionReport, IkeSaReport, LinkReport, PathReading } from '../control/report.ts';
import type { DirectPath } from '../paths/direct-path.ts';
import type { Evidence } from '../paths/evidence.ts';
import { causeBy, explainCause, type PathCause } from '../paths/path-cause.ts';
import { hasSelectorsOf } from '../reconcile/plan.ts';
import { indexSas, installedIn, type SasOf } from './installed-sas.ts';
import type { ProbeReading } from './prober.ts';

/** What the report is made from: the desired state, what charon shows, and what the agent knows besides. */
export interface ReportInput {
  readonly desired: DesiredState;
  /** Undefined while charon cannot be asked. */
  readonly ikeSas: readonly IkeSa[] | undefined;
  /** charon's refusals by connection. */
  readonly refusals: ReadonlyMap<string, string>;
  readonly directPaths: ReadonlyMap<string, DirectPath>;
  /** Where this node has a link's traffic go; undefined where charon chooses. */
  readonly takesDirect: (link: string) => boolean | undefined;
  /** Why a link has no direct path; undefined while there is nothing to explain. */
  readonly causeOf: (link: string) => PathCause | undefined;
  /** What charon's log says about a connection that does not come up. */
  readonly evidenceOf: (connection: string) => Evidence | undefined;
  /** What probes say of a path that is up. */
  readonly reading: (link: string, path: PathKind) => ProbeReading | undefined;
}

/** A problem is for people, and with a longer one the coordinator would refuse the whole report. */
const PROBLEM_MAX = 1000;

/** Status and words for each connection of the desired state. */
export function connectionReports(input: ReportInput): ConnectionReport[] {
  const sasOf = indexSas(input.ikeSas ?? []);
  return input.desired.connections.map((connection) => {
    const { name, kind } = connection;
    const peer = peerOf(connection);
    if (input.ikeSas === undefined) return { name, kind, peer, status: 'unknown', problem: null, ikeSas: [] };
    const ikeSas = sasOf(name);
    const refusal = input.refusals.get(connection.name);
    const status = statusOf(connection, ikeSas, refusal);
    return {
      name,
      kind,
      peer,
      status,
      problem: (refusal ?? problemOf(connection, ikeSas, status, input))?.slice(0, PROBLEM_MAX) ?? null,
      ikeSas: ikeSas.map((ikeSa) => ikeSaReport(ikeSa, connection)),
    };
  });
}

function peerOf(connection: Connection): string | null {
  if (connection.kind === 'mediation-client') return connection.mediator;
  return connection.kind === 'mediation-server' ? null : connection.peer;
}

function statusOf(
  connection: Connection,
  ikeSas: readonly IkeSa[],
  refusal: string | undefined,
): ConnectionReport['status'] {
  if (ikeSas.some(isEstablished)) return 'up';
  if (refusal !== undefined) return 'refused';
  if (ikeSas.length > 0) return 'connecting';
  return initiates(connection) ? 'down' : 'ready';
}

function isEstablished({ state }: IkeSa): boolean {
  return state === 'ESTABLISHED' || state === 'REKEYING';
}

function initiates(connection: Connection): boolean {
  if (connection.kind === 'mediation-client') return connection.start === 'start';
  return connection.kind === 'spoke' && connection.children.some(({ start }) => start === 'start');
}

function problemOf(
  connection: Connection,
  ikeSas: readonly IkeSa[],
  status: ConnectionReport['status'],
  { evidenceOf }: Pick<ReportInput, 'evidenceOf'>,
): string | null {
  if (status === 'up') return missingChildren(connection, ikeSas);
  const logged = evidenceOf(connection.name);
  const why = logged === undefined ? '' : `. ${adviceOf(logged)}`;
  if (connection.kind === 'mediation-client' && status !== 'ready') {
    return `not registered at mediator ${connection.mediator} (${connection.remoteAddresses.join(', ')}): no direct path can be set up${why}`;
  }
  if (connection.kind === 'spoke' && status !== 'ready') {
    return `no tunnel to hub ${connection.peer} (${connection.remoteAddresses.join(', ')}): ${logged === undefined ? 'it does not answer, or refuses this node; see the charon log' : logged.code}${why}`;
  }
  return null;
}

function adviceOf({ advice, quote }: Evidence): string {
  return `${advice} charon says: "${quote}"`;
}

function missingChildren(connection: Connection, ikeSas: readonly IkeSa[]): string | null {
  const childSas = ikeSas.flatMap((ikeSa) => ikeSa.childSas);
  const wanted = childrenOf(connection).filter(({ start }) => start === 'start');
  const missing = wanted.filter(({ name }) => !childSas.some((childSa) => childSa.name === name));
  if (missing.length > 0) return `no CHILD SA for ${missing.map(({ name }) => name).join(', ')}`;
  const outdated = wanted.filter(
    (child) => !childSas.some((childSa) => childSa.name === child.name && hasSelectorsOf(childSa, child)),
  );
  if (outdated.length === 0) return null;
  return `other selectors than configured on ${outdated.map(({ name }) => name).join(', ')}: the other end has not taken the change, or one of the two charons refuses it; see the charon log`;
}

function ikeSaReport(ikeSa: IkeSa, connection: Connection): IkeSaReport {
  const links = new Map<string, string>(childrenOf(connection).map(({ name, link }) => [name, link]));
  const { localHost, localPort, remoteHost, remotePort, localId, remoteId, uniqueId, state, initiator, nat } = ikeSa;
  return {
    uniqueId,
    state,
    initiator,
    localHost,
    localPort,
    remoteHost,
    remotePort,
    localId,
    remoteId,
    nat,
    establishedSeconds: ikeSa.establishedSeconds ?? null,
    rekeyInSeconds: ikeSa.rekeyInSeconds ?? null,
    childSas: ikeSa.childSas.map((childSa) => childSaReport(childSa, links.get(childSa.name) ?? null)),
  };
}

function childSaReport({ reqid: _reqid, ifId: _ifId, ...childSa }: ChildSa, link: string | null): ChildSaReport {
  return {
    ...childSa,
    link,
    localTs: [...childSa.localTs],
    remoteTs: [...childSa.remoteTs],
    installedSeconds: childSa.installedSeconds ?? null,
    rekeyInSeconds: childSa.rekeyInSeconds ?? null,
  };
}

/** The path of each link, without its time (the caller knows when it changed). */
export function linkReports(input: ReportInput): Omit<LinkReport, 'sinceMs'>[] {
  const sasOf = indexSas(input.ikeSas ?? []);
  const connections = new Map<string, Connection>(input.desired.connections.map((each) => [each.name, each]));
  return input.desired.links.map((link) => {
    const { id, peer } = link;
    const directFailures = input.directPaths.get(id)?.failures ?? 0;
    const unprobed = { cause: null, direct: null, relay: null };
    if (input.ikeSas === undefined) return { id, peer, path: 'unknown', problem: null, directFailures, ...unprobed };
    const readings = { direct: input.reading(id, 'direct'), relay: input.reading(id, 'relay') };
    const refusal = input.refusals.get(`${STEERING_PREFIX}${peer}`);
    const path = refusal === undefined ? pathOf(link, sasOf, readings, input) : 'none';
    const down = path === 'none' ? hubTunnelsOf(link, connections, sasOf) : [];
    const problem =
      refusedProblem(refusal) ?? outdatedProblem(link, connections, sasOf) ?? linkProblem(link, path, down, input);
    const cause = path === 'direct' ? null : (input.causeOf(id) ?? causeOfHubLink(link, down, input) ?? null);
    const [direct, relay] = [pathReading(readings.direct), pathReading(readings.relay)];
    return { id, peer, path, problem: problem?.slice(0, PROBLEM_MAX) ?? null, directFailures, cause, direct, relay };
  });
}

type Readings = { readonly [P in PathKind]: ProbeReading | undefined };

function pathReading(reading: ProbeReading | undefined): PathReading | null {
  if (reading === undefined) return null;
  const { health, rttMs = null, loss = null } = reading;
  return { health, rttMs: rttMs === null ? null : Math.round(rttMs * 10) / 10, loss };
}

/**
 * A tunnel through which nothing comes is no path, nor is one that is given up. A mediated one that has a relay is until
 * then: traffic is in it, and the relay may show that all answers are late.
 */
function pathOf(
  link: DesiredLink,
  sasOf: SasOf,
  { direct, relay }: Readings,
  { directPaths, takesDirect }: Pick<ReportInput, 'directPaths' | 'takesDirect'>,
): LinkReport['path'] {
  const isInstalled = (refs: readonly ChildRef[]): boolean => installedIn(refs, sasOf).length > 0;
  const phase = directPaths.get(link.id)?.phase;
  const isKept = phase === 'up' && relay?.health === 'alive';
  const isUsed = phase !== 'ending' && takesDirect(link.id) !== false && (direct?.health !== 'dead' || isKept);
  if (isInstalled(link.direct) && isUsed) return 'direct';
  return isInstalled(link.relay) && relay?.health !== 'dead' ? 'relay' : 'none';
}

/** Where the node moves a link's traffic by itself, its tunnels carry nothing without the policies for that. */
function refusedProblem(refusal: string | undefined): string | undefined {
  return refusal && `no traffic is possible: what leads it into the tunnels is refused: ${refusal}`;
}

/** A change of the subnets that one of the two charons has not taken: traffic of the new ones has no tunnel. */
function outdatedProblem(link: DesiredLink, connections: ReadonlyMap<string, Connection>, sasOf: SasOf): string | null {
  const isOutdated = (ref: ChildRef): boolean => {
    if (installedIn([ref], sasOf).length === 0) return false;
    const connection = connections.get(ref.connection);
    const child = connection && childrenOf(connection).find(({ name }) => name === ref.child);
    if (child === undefined) return false;
    const childSas = sasOf(ref.connection).flatMap((ikeSa) => ikeSa.childSas);
    return !childSas.some((childSa) => childSa.name === child.name && hasSelectorsOf(childSa, child));
  };
  if (![...link.direct, ...link.relay].some(isOutdated)) return null;
  return `a tunnel to ${link.peer} still has other subnets than the mesh spec`;
}

/** A connection of a link's tunnel with a hub, and whether the tunnel is there. */
interface HubTunnel {
  readonly connection: Exclude<Connection, { readonly kind: 'mediated-peer' }>;
  readonly ikeSas: readonly IkeSa[];
  readonly isInstalled: boolean;
}

/** Where a hub is one end of the link, and where it relays. */
function hubTunnelsOf(
  link: DesiredLink,
  connections: ReadonlyMap<string, Connection>,
  sasOf: SasOf,
): readonly HubTunnel[] {
  return [...link.direct, ...link.relay].flatMap((ref) => {
    const connection = connections.get(ref.connection);
    if (connection === undefined || connection.kind === 'mediated-peer') return [];
    return [{ connection, ikeSas: sasOf(connection.name), isInstalled: installedIn([ref], sasOf).length > 0 }];
  });
}

/** `down`: its tunnels with hubs, where it has no path. */
function linkProblem(
  link: DesiredLink,
  path: LinkReport['path'],
  down: readonly HubTunnel[],
  input: ReportInput,
): string | null {
  if (path === 'direct' || (path === 'relay' && link.direct.length === 0)) return null;
  const through = path === 'relay' ? 'traffic goes through the hub' : `no traffic to ${link.peer} is possible now`;
  const reasons = [...directProblem(link, input), ...down.map((tunnel) => hubTunnelProblem(tunnel, input))];
  return reasons.length === 0 ? null : `${through}: ${[...new Set(reasons)].join('; ')}`;
}

/** None for a link whose direct tunnel, if any, is with a hub. */
function directProblem(link: DesiredLink, { directPaths, causeOf }: ReportInput): readonly string[] {
  const direct = directPaths.get(link.id);
  if (direct === undefined) return [];
  const cause = causeOf(link.id);
  if (cause === undefined) return [`the direct tunnel to ${link.peer} is being set up`];
  const tries = direct.failures === 0 ? '' : ` (tries: ${direct.failures})`;
  return [`${explainCause(cause, link.peer)}${tries}`];
}

function hubTunnelProblem({ connection, ikeSas, isInstalled }: HubTunnel, input: ReportInput): string {
  const { name } = connection;
  const tunnel = `the tunnel with ${peerOf(connection) ?? name}`;
  if (isInstalled) return `nothing comes back through ${tunnel}`;
  const refusal = input.refusals.get(name);
  if (refusal !== undefined) return `charon refuses ${tunnel}: ${refusal}`;
  const problem = problemOf(connection, ikeSas, statusOf(connection, ikeSas, refusal), input);
  if (problem !== null) return problem;
  const logged = input.evidenceOf(name);
  return logged === undefined ? `${tunnel} is not up` : `${tunnel} is not up: ${logged.code}. ${adviceOf(logged)}`;
}

/** Of a link with a hub: what charon's log proves about the tunnel with it. */
function causeOfHubLink(
  link: DesiredLink,
  down: readonly HubTunnel[],
  { directPaths, evidenceOf }: ReportInput,
): PathCause | undefined {
  if (directPaths.has(link.id)) return undefined;
  const causes = down.flatMap(({ connection, isInstalled }) =>
    isInstalled ? [] : (causeBy(evidenceOf(connection.name)) ?? []),
  );
  return causes[0];
}
