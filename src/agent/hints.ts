import type { LinkHint } from '../control/frames.ts';
import type { ChildConfig } from '../ike/connection.ts';
import type { DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** A coordinator that was away for this long is done without: the node decides by what it sees itself. */
export const ALONE_AFTER_MS = 20_000;

export interface HintSource {
  /** The coordinator's last hints; undefined before the first. */
  readonly hints: readonly LinkHint[] | undefined;
  /** How long the control channel has been down, in ms; 0 while it is up. */
  readonly channelDownMs: number;
}

/**
 * What is known of each mediated link: whether both ends are registered, and whether this node initiates. While the
 * coordinator is there only its word counts. Alone, the lexically first node initiates, and the peer is taken to be
 * registered when this node is: the mediator calls back when the peer comes later.
 */
export function effectiveHints(desired: DesiredState, source: HintSource): ReadonlyMap<string, LinkHint> {
  const isAlone = source.channelDownMs >= ALONE_AFTER_MS;
  if (!isAlone) return new Map(source.hints?.map((hint) => [hint.link, hint]));
  return new Map(
    desired.links.map(({ id, peer }) => [id, { link: id, registered: true, initiate: desired.node < peer }]),
  );
}

/** A link whose direct path is set up through a mediator. */
export interface MediatedLink {
  readonly link: DesiredLink;
  readonly connection: string;
  readonly child: ChildConfig;
  /** The connection that registers this node at the mediator. */
  readonly mediatedBy: string;
}

export function mediatedLinks(desired: DesiredState): readonly MediatedLink[] {
  return desired.links.flatMap((link) => {
    const connection = desired.connections.find(({ name }) => name === link.direct?.connection);
    if (connection?.kind !== 'mediated-peer') return [];
    const child = connection.children.find(({ name }) => name === link.direct?.child);
    return child === undefined ? [] : [{ link, connection: connection.name, child, mediatedBy: connection.mediatedBy }];
  });
}

/** True when the mediation connection is established: before that an initiate would park one of charon's workers. */
export function isRegistered(mediatedBy: string, ikeSas: readonly IkeSa[]): boolean {
  return ikeSas.some(({ name, state }) => name === mediatedBy && state === 'ESTABLISHED');
}
