import type { LinkHint } from '../control/frames.ts';
import type { ChildConfig, Connection } from '../ike/connection.ts';
import type { ChildRef, DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** A coordinator that was away for this long is done without: the node decides by what it sees itself. */
export const ALONE_AFTER_MS = 20_000;
/** The same for a node that boots and cannot reach its coordinator: nothing that it says can be on its way. */
export const ALONE_AT_START_MS = 1000;
/**
 * Alone, a node begins nothing through a mediator that it has registered at just now. A peer that boots at the same time
 * is to have done so as well: what the mediator passes on to a registration that died with the peer's charon is lost.
 */
export const REGISTERED_MS = 1000;
/** How long a turn takes then: longer than a try. */
export const LONE_TURN_MS = 15_000;
/** Nothing is begun at the end of a turn: the other end is to see what this one has begun, by a clock that is a little apart. */
export const TURN_END_MS = 1000;

export interface HintSource {
  /** The coordinator's last hints; undefined before the first. */
  readonly hints: readonly LinkHint[] | undefined;
  /** Whether the coordinator has said nothing about links since the agent's start. */
  readonly isUntold: boolean;
  /** How long the control channel has been down, in ms; 0 while it is up. */
  readonly channelDownMs: number;
  /** Whether a try to open it, or the connection that it had, has ended since it was last open. */
  readonly hasChannelFailed: boolean;
  /** For how long this node has been registered, in ms, by mediation connection. */
  readonly registrations: ReadonlyMap<string, number>;
  /** Wall-clock ms: the two ends of a link, each alone, take turns by what both know. */
  readonly nowMs: number;
}

/**
 * What is known of each mediated link: where both ends are registered, and whether this node initiates. While the
 * coordinator is there only its word counts. Alone, a node initiates through the first mediator that it is registered at
 * itself, and takes the peer to be there too: the mediator calls back when the peer comes later. The two ends take turns:
 * only the other end can free a pair that is stuck.
 */
export function effectiveHints(desired: DesiredState, source: HintSource): ReadonlyMap<string, LinkHint> {
  if (source.channelDownMs < aloneAfterMs(source)) return new Map(source.hints?.map((hint) => [hint.link, hint]));
  return new Map(
    mediatedLinks(desired).map(({ link: { id, peer }, ways }) => {
      const way = ways.find(({ mediatedBy }) => (source.registrations.get(mediatedBy) ?? 0) >= REGISTERED_MS);
      const initiate = isTurnOf(desired.node < peer ? 'first' : 'second', source.nowMs);
      return [
        id,
        {
          link: id,
          mediator: way?.mediator ?? null,
          initiate,
          peerOnline: true,
          peerRegistered: true,
          peerNat: 'unknown',
        } satisfies LinkHint,
      ];
    }),
  );
}

/** Ms until time alone may change the hints; infinite while the coordinator is there. */
export function hintsChangeInMs(source: HintSource): number {
  const { channelDownMs, registrations, nowMs } = source;
  if (channelDownMs === 0) return Infinity;
  const aloneInMs = aloneAfterMs(source) - channelDownMs;
  // The first try to reach the coordinator may fail at any moment, and then this node is alone.
  if (aloneInMs > 0) return source.isUntold ? Math.min(aloneInMs, ALONE_AT_START_MS) : aloneInMs;
  const intoTurnMs = nowMs % LONE_TURN_MS;
  const young = [...registrations.values()].filter((forMs) => forMs < REGISTERED_MS);
  return Math.min(
    (intoTurnMs < LONE_TURN_MS - TURN_END_MS ? LONE_TURN_MS - TURN_END_MS : LONE_TURN_MS) - intoTurnMs,
    ...young.map((forMs) => REGISTERED_MS - forMs),
  );
}

function aloneAfterMs({ isUntold, hasChannelFailed }: HintSource): number {
  return isUntold && hasChannelFailed ? ALONE_AT_START_MS : ALONE_AFTER_MS;
}

/** Whether this end of a link, by the order of their names, may begin a set-up now. */
function isTurnOf(end: 'first' | 'second', nowMs: number): boolean {
  const turn = Math.floor(nowMs / LONE_TURN_MS) % 2 === 0 ? 'first' : 'second';
  return turn === end && nowMs % LONE_TURN_MS < LONE_TURN_MS - TURN_END_MS;
}

/** A link whose direct path is set up through mediators. */
export interface MediatedLink {
  readonly link: DesiredLink;
  /** One for each mediator, the preferred one first; never empty. */
  readonly ways: readonly MediatedWay[];
}

/** How a direct path is set up through one mediator. */
export interface MediatedWay {
  readonly mediator: string;
  readonly connection: string;
  readonly child: ChildConfig;
  /** The connection that registers this node at the mediator. */
  readonly mediatedBy: string;
}

export function mediatedLinks(desired: DesiredState): readonly MediatedLink[] {
  const byName = new Map<string, Connection>(desired.connections.map((connection) => [connection.name, connection]));
  return desired.links.flatMap((link) => {
    const ways = link.direct.flatMap((ref) => wayOf(ref, byName));
    return ways.length === 0 ? [] : [{ link, ways }];
  });
}

function wayOf(ref: ChildRef, byName: ReadonlyMap<string, Connection>): readonly MediatedWay[] {
  const connection = byName.get(ref.connection);
  if (connection?.kind !== 'mediated-peer') return [];
  const client = byName.get(connection.mediatedBy);
  const child = connection.children.find(({ name }) => name === ref.child);
  if (child === undefined || client?.kind !== 'mediation-client') return [];
  return [{ mediator: client.mediator, connection: connection.name, child, mediatedBy: connection.mediatedBy }];
}

/** True when the mediation connection is established: before that an initiate would park one of charon's workers. */
export function isRegistered(mediatedBy: string, ikeSas: readonly IkeSa[]): boolean {
  return ikeSas.some(({ name, state }) => name === mediatedBy && state === 'ESTABLISHED');
}
