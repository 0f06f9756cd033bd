import { tunnelIdentity } from '../../src/identity/names.ts';
import { connectionNameSchema, nodeNameSchema, type ConnectionOf } from '../../src/ike/connection.ts';
import { MESH } from '../identity/mesh.ts';
import { child, spoke } from '../reconcile/builders.ts';
import { LEFT, RIGHT } from './charon-pair.ts';

/** The two ends of a tunnel between edge1, at the left, and its hub master1, at the right, as the coordinator would make them. */

export const toHub: ConnectionOf<'spoke'> = {
  ...spoke([child('edge1--remote', { localSubnets: [LEFT.subnet], remoteSubnets: [RIGHT.subnet] })]),
  localId: tunnelIdentity(MESH, 'edge1'),
  remoteId: tunnelIdentity(MESH, 'master1'),
  remoteAddresses: [RIGHT.address],
};

export const toEdge: ConnectionOf<'hub'> = {
  kind: 'hub',
  name: connectionNameSchema.parse('cygnet-spoke-edge1'),
  localId: toHub.remoteId,
  remoteId: toHub.localId,
  ike: toHub.ike,
  peer: nodeNameSchema.parse('edge1'),
  children: [child('edge1--remote', { localSubnets: [RIGHT.subnet], remoteSubnets: [LEFT.subnet], start: 'add' })],
};
