import type { LinkHint } from '../control/frames.ts';
import type { ChildConfig, Connection } from '../ike/connection.ts';
import type { ChildRef, DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** A coordinator that was away for this long is done without: the node decides by what it sees itself. */
export const ALONE_AFTER_MS = 20_000;
/** How long a turn takes then: longer than a try. */
export const LONE_TURN_MS = 15_000;

export interface HintSource {
  /** The coordinator's last hints; undefined before the first. */
  readonly hints: readonly LinkHint[] | undefined;
  /** How long the control channel has been down, in ms; 0 while it is up. */
  readonly channelDownMs: number;
}

/**
 * What is known of each mediated link: where both ends are registered, and whether this node initiates. While the
 * coordinator is there only its word counts. Alone, a node initiates through the first mediator that it is registered at
 * itself, and takes the peer to be there too: the mediator calls back when the peer comes later. The lexically first end
 * begins, and the two take turns: only the other end can free a pair that is stuck.
 */
export function effectiveHints(
  desired: DesiredState,
  ikeSas: readonly IkeSa[],
  source: HintSource,
): ReadonlyMap<string, LinkHint> {
  const aloneMs = source.channelDownMs - ALONE_AFTER_MS;
  if (aloneMs < 0) return new Map(source.hints?.map((hint) => [hint.link, hint]));
  const isTurnOfFirst = Math.floor(aloneMs / LONE_TURN_MS) % 2 === 0;
  return new Map(
    mediatedLinks(desired).map(({ link: { id, peer }, ways }) => {
      const way = ways.find(({ mediatedBy }) => isRegistered(mediatedBy, ikeSas));
      const initiate = desired.node < peer === isTurnOfFirst;
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
