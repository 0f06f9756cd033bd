import { CONNECTION_PREFIX, type ConnectionName, type NodeName } from '../ike/connection.ts';

const named = (suffix: string): ConnectionName => `${CONNECTION_PREFIX}${suffix}` as ConnectionName;

/** On a mediator: the one connection that answers every node. */
export const MEDIATION_SERVER = named('mediation');
/** On a mediator: answers nodes that register a second time, under their other identity (`agent/second-registration.ts`). */
export const SECOND_MEDIATION_SERVER = named('mediation.again');

/** On a node: registers it at a mediator. */
export const mediationClientName = (mediator: NodeName): ConnectionName => named(`medsrv-${mediator}`);

/** On both ends of a mediated link: the tunnel to the other, set up through a mediator. `rank` 0: the spec's first one. */
export const peerName = (peer: NodeName, mediator: NodeName, rank: number): ConnectionName =>
  named(rank === 0 ? `peer-${peer}` : `peer-${peer}--${mediator}`);

/** On a spoke: the tunnel to a hub. */
export const toHubName = (hub: NodeName): ConnectionName => named(`hub-${hub}`);

/** On a hub: the tunnel of a spoke. */
export const fromSpokeName = (spoke: NodeName): ConnectionName => named(`spoke-${spoke}`);
