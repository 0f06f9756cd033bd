import type { LinkHint } from '../control/frames.ts';
import type { NodeReport } from '../control/report.ts';
import type { LinkId, NodeName } from '../ike/connection.ts';
import { MEDIATION_SERVER, mediationClientName } from './connection-names.ts';

/** A link whose ends set up their direct path through a mediator. */
export interface MediatedLink {
  readonly id: LinkId;
  /** In order of their names; the first begins. */
  readonly ends: readonly [LinkEnd, LinkEnd];
  /** Where they can meet, the preferred one first; never empty. */
  readonly mediators: readonly NodeName[];
}

export interface LinkEnd {
  readonly node: NodeName;
  /** Its identity towards the mediator, as charon prints it. */
  readonly mediationId: string;
}

/** What counts here of a node that has an open control channel. */
export interface NodeFacts {
  /** Connections that are up. */
  readonly up: ReadonlySet<string>;
  /** Links that this node sends through a direct tunnel; undefined while its charon cannot be asked. */
  readonly direct: ReadonlySet<string> | undefined;
  /** Set-ups of each link's direct path that came to nothing. */
  readonly directFailures: ReadonlyMap<string, number>;
  readonly nat: NodeReport['nat'];
  /** On a mediator: the identities of the nodes that are registered there. */
  readonly clients: ReadonlySet<string>;
}

/** Whose turn it is to initiate, and how many of that end's tries had come to nothing when its turn began. */
export interface Election {
  readonly initiator: NodeName;
  /** Undefined until it has reported: what failed before then is not held against it. */
  readonly failures: number | undefined;
}

/** The facts in a report; undefined for a node that is offline or has not reported since its channel was opened. */
export type FactsOf = (node: NodeName) => NodeFacts | undefined;

export function factsOf(report: NodeReport): NodeFacts {
  const server = report.connections.find(({ name }) => name === MEDIATION_SERVER);
  const registered = server?.ikeSas.filter(({ state }) => state === 'ESTABLISHED') ?? [];
  return {
    up: new Set(report.connections.filter(({ status }) => status === 'up').map(({ name }) => name)),
    direct: report.charon.connected
      ? new Set(report.links.filter(({ path }) => path === 'direct').map(({ id }) => id))
      : undefined,
    directFailures: new Map(report.links.map(({ id, directFailures }) => [id, directFailures])),
    nat: report.nat,
    clients: new Set(registered.map(({ remoteId }) => remoteId)),
  };
}

/**
 * The mediator at which both ends are now, undefined when there is none. The mediator's own word counts too when there is
 * one: an end may still believe in a registration that the mediator has lost.
 */
export function meetingPoint(link: MediatedLink, facts: FactsOf): NodeName | undefined {
  return link.mediators.find((mediator) => link.ends.every((end) => isEndRegistered(end, mediator, facts)));
}

function isEndRegistered({ node, mediationId }: LinkEnd, at: NodeName, facts: FactsOf): boolean {
  const mediator = facts(at);
  const isUp = facts(node)?.up.has(mediationClientName(at)) === true;
  return isUp && (mediator === undefined || mediator.clients.has(mediationId));
}

export function firstElection(link: MediatedLink): Election {
  return { initiator: link.ends[0].node, failures: undefined };
}

/**
 * Hands the turn to the other end once a try of the initiator has come to nothing, for the other end alone can free a
 * stuck pair; and to an end that has lost its tunnel while its peer still holds on to the dead one, because that peer has
 * nothing to set up. Only while both are registered.
 */
function nextElection(
  link: MediatedLink,
  election: Election,
  facts: FactsOf,
  { mediator, ends }: Omit<LinkState, 'election'>,
): Election {
  const registered = mediator !== undefined;
  const deserted = registered ? desertedEnd(link, ends) : undefined;
  if (deserted !== undefined && deserted !== election.initiator) {
    return { initiator: deserted, failures: failuresOf(link, facts(deserted)) };
  }
  const now = failuresOf(link, facts(election.initiator));
  if (now === undefined || now === election.failures) return election;
  // Fewer than before: the path has worked since, and the count begins anew.
  if (election.failures === undefined || now < election.failures) return { ...election, failures: now };
  if (!registered) return election;
  const [first, second] = link.ends;
  const initiator = election.initiator === first.node ? second.node : first.node;
  return { initiator, failures: failuresOf(link, facts(initiator)) };
}

/** The end that shows no direct tunnel, knowing that its peer has one; undefined when the two agree. */
function desertedEnd(link: MediatedLink, [first, second]: LinkState['ends']): NodeName | undefined {
  const isDeserted = (end: EndState, peer: EndState): boolean =>
    end.facts?.direct?.has(link.id) === false && isDirect(link, peer.facts) && end.facts !== end.factsBefore;
  if (isDeserted(first, second)) return link.ends[0].node;
  return isDeserted(second, first) ? link.ends[1].node : undefined;
}

function isDirect(link: MediatedLink, facts: NodeFacts | undefined): boolean {
  return facts?.direct?.has(link.id) === true;
}

function failuresOf(link: MediatedLink, facts: NodeFacts | undefined): number | undefined {
  return facts && (facts.directFailures.get(link.id) ?? 0);
}

export function hintFor(node: NodeName, link: MediatedLink, { mediator, election, ends }: LinkState): LinkHint {
  const peer = ends[link.ends[0].node === node ? 1 : 0];
  return {
    link: link.id,
    mediator: mediator ?? null,
    peerOnline: peer.facts !== undefined,
    peerRegistered: peer.registered,
    peerNat: natOf(peer),
    initiate: election.initiator === node,
  };
}

/** What counts of one end of a link for the other. */
interface EndState {
  /** Undefined while it is offline. */
  readonly facts: NodeFacts | undefined;
  readonly registered: boolean;
  /** What was known of this end when its peer first showed the direct tunnel: it may have it by now as well. */
  readonly factsBefore: NodeFacts | undefined;
}

/** All that hints are made of. */
export interface LinkState {
  /** Where both ends are registered. */
  readonly mediator: NodeName | undefined;
  readonly election: Election;
  readonly ends: readonly [EndState, EndState];
}

export function firstLinkState(link: MediatedLink): LinkState {
  const unseen: EndState = { facts: undefined, registered: false, factsBefore: undefined };
  return { mediator: undefined, election: firstElection(link), ends: [unseen, unseen] };
}

export function nextLinkState(link: MediatedLink, before: LinkState, facts: FactsOf): LinkState {
  const now = { mediator: meetingPoint(link, facts), ends: [endState(0), endState(1)] as const };
  return { ...now, election: nextElection(link, before.election, facts, now) };

  function endState(index: 0 | 1): EndState {
    const end = link.ends[index];
    const peer = index === 0 ? 1 : 0;
    const peerHadIt = isDirect(link, before.ends[peer].facts);
    return {
      facts: facts(end.node),
      registered: link.mediators.some((each) => isEndRegistered(end, each, facts)),
      factsBefore: peerHadIt ? before.ends[index].factsBefore : facts(end.node),
    };
  }
}

/** Whether all hints made of the two would be the same. */
export function makeSameHints(a: LinkState, b: LinkState): boolean {
  return (
    a.mediator === b.mediator &&
    a.election.initiator === b.election.initiator &&
    isSameEnd(a.ends[0], b.ends[0]) &&
    isSameEnd(a.ends[1], b.ends[1])
  );
}

function isSameEnd(a: EndState, b: EndState): boolean {
  return (a.facts === undefined) === (b.facts === undefined) && a.registered === b.registered && natOf(a) === natOf(b);
}

function natOf({ facts }: EndState): NodeReport['nat'] {
  return facts?.nat ?? 'unknown';
}
