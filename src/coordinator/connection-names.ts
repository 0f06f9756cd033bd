import { CONNECTION_PREFIX, type ConnectionName, type NodeName } from '../ike/connection.ts';

const named = (suffix: string): ConnectionName => `${CONNECTION_PREFIX}${suffix}` as ConnectionName;

/** On a mediator: the one connection that answers every node. */
export const MEDIATION_SERVER = named('mediation');

/** On a node: registers it at a mediator. */
export const mediationClientName = (mediator: NodeName): ConnectionName => named(`medsrv-${mediator}`);

/** On both ends of a mediated link: the tunnel to the other. */
export const peerName = (peer: NodeName): ConnectionName => named(`peer-${peer}`);

/** On a spoke: the tunnel to a hub. */
export const toHubName = (hub: NodeName): ConnectionName => named(`hub-${hub}`);

/** On a hub: the tunnel of a spoke. */
export const fromSpokeName = (spoke: NodeName): ConnectionName => named(`spoke-${spoke}`);
