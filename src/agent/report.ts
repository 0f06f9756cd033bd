import { childrenOf, type Connection } from '../ike/connection.ts';
import type { ChildRef, DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';
import type { ChildSaReport, ConnectionReport, IkeSaReport, LinkReport } from '../control/report.ts';
import type { DirectPath } from '../paths/direct-path.ts';
import { fits } from '../reconcile/plan.ts';

/** What the report is made from: the desired state, what charon shows, and what the agent knows besides. */
export interface ReportInput {
  readonly desired: DesiredState;
  /** Undefined while charon cannot be asked. */
  readonly ikeSas: readonly IkeSa[] | undefined;
  /** charon's refusals by connection. */
  readonly refusals: ReadonlyMap<string, string>;
  readonly directPaths: ReadonlyMap<string, DirectPath>;
  /** Links whose two ends are registered at the same mediator, as far as this node knows. */
  readonly registered: ReadonlySet<string>;
}

/** A problem is for people, and with a longer one the coordinator would refuse the whole report. */
const PROBLEM_MAX = 1000;

/** Status and words for each connection of the desired state. */
export function connectionReports(input: ReportInput): ConnectionReport[] {
  return input.desired.connections.map((connection) => {
    const { name, kind } = connection;
    const peer = peerOf(connection);
    if (input.ikeSas === undefined) return { name, kind, peer, status: 'unknown', problem: null, ikeSas: [] };
    const ikeSas = input.ikeSas.filter((ikeSa) => ikeSa.name === name);
    const refusal = input.refusals.get(connection.name);
    const status = statusOf(connection, ikeSas, refusal);
    return {
      name,
      kind,
      peer,
      status,
      problem: (refusal ?? problemOf(connection, ikeSas, status))?.slice(0, PROBLEM_MAX) ?? null,
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
): string | null {
  if (status === 'up') return missingChildren(connection, ikeSas);
  if (connection.kind === 'mediation-client' && status !== 'ready') {
    return `not registered at mediator ${connection.mediator} (${connection.remoteAddresses.join(', ')}): no direct path can be set up`;
  }
  if (connection.kind === 'spoke' && status !== 'ready') {
    return `no tunnel to hub ${connection.peer} (${connection.remoteAddresses.join(', ')}): it does not answer, or refuses this node; see the charon log`;
  }
  return null;
}

function missingChildren(connection: Connection, ikeSas: readonly IkeSa[]): string | null {
  const childSas = ikeSas.flatMap((ikeSa) => ikeSa.childSas);
  const wanted = childrenOf(connection).filter(({ start }) => start === 'start');
  const missing = wanted.filter(({ name }) => !childSas.some((childSa) => childSa.name === name));
  if (missing.length > 0) return `no CHILD SA for ${missing.map(({ name }) => name).join(', ')}`;
  const outdated = wanted.filter(
    (child) => !childSas.some((childSa) => childSa.name === child.name && fits(childSa, child)),
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

function childSaReport(childSa: ChildSa, link: string | null): ChildSaReport {
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
  return input.desired.links.map((link) => {
    const { id, peer } = link;
    const direct = input.directPaths.get(id);
    const directFailures = direct?.failures ?? 0;
    if (input.ikeSas === undefined) return { id, peer, path: 'unknown', problem: null, directFailures };
    const path = pathOf(link, input.ikeSas);
    const problem = outdatedProblem(link, input.desired, input.ikeSas) ?? linkProblem(link, path, direct, input);
    return { id, peer, path, problem, directFailures };
  });
}

function pathOf(link: DesiredLink, ikeSas: readonly IkeSa[]): LinkReport['path'] {
  if (isInstalled(link.direct, ikeSas)) return 'direct';
  return isInstalled(link.relay, ikeSas) ? 'relay' : 'none';
}

/** A CHILD SA that carries traffic; while it is rekeyed the old one still does. */
export function isInstalled(ref: ChildRef | undefined, ikeSas: readonly IkeSa[]): boolean {
  if (ref === undefined) return false;
  return ikeSas
    .filter(({ name }) => name === ref.connection)
    .some(({ childSas }) =>
      childSas.some(({ name, state }) => name === ref.child && ['INSTALLED', 'REKEYING', 'REKEYED'].includes(state)),
    );
}

/** A change of the subnets that one of the two charons has not taken: traffic of the new ones has no tunnel. */
function outdatedProblem(link: DesiredLink, desired: DesiredState, ikeSas: readonly IkeSa[]): string | null {
  const isOutdated = (ref: ChildRef | undefined): boolean => {
    const connection = desired.connections.find(({ name }) => name === ref?.connection);
    const child = connection && childrenOf(connection).find(({ name }) => name === ref?.child);
    if (child === undefined || !isInstalled(ref, ikeSas)) return false;
    const childSas = ikeSas.filter(({ name }) => name === ref?.connection).flatMap((ikeSa) => ikeSa.childSas);
    return !childSas.some((childSa) => childSa.name === child.name && fits(childSa, child));
  };
  if (!isOutdated(link.direct) && !isOutdated(link.relay)) return null;
  return `a tunnel to ${link.peer} still has other subnets than the mesh spec`;
}

function linkProblem(
  link: DesiredLink,
  path: LinkReport['path'],
  direct: DirectPath | undefined,
  input: ReportInput,
): string | null {
  if (path === 'direct' || (path === 'relay' && link.direct === undefined)) return null;
  const through = path === 'relay' ? 'traffic goes through the hub' : `no traffic to ${link.peer} is possible now`;
  if (direct === undefined) return path === 'relay' ? null : `${through}: its tunnel is not up`;
  if (!input.registered.has(link.id))
    return `${through}: ${link.peer} and this node are not both registered at the mediator`;
  if (direct.failures > 0) {
    return `${through}: hole punching to ${link.peer} came to nothing (tries: ${direct.failures}); a symmetric NAT, a UDP filter or LAN interfaces that charon does not ignore, at either end, do this`;
  }
  return `${through}: the direct tunnel to ${link.peer} is being set up`;
}
