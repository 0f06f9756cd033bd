import { connectionNameSchema, nodeNameSchema, type ConnectionOf } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import { child, desired, mediatedPeer, medsrv, spoke } from '../reconcile/builders.ts';

/** The kinds that only a hub or a mediator has. */

export function mediationServer(): ConnectionOf<'mediation-server'> {
  const { ike, remoteId } = medsrv();
  return {
    kind: 'mediation-server',
    name: connectionNameSchema.parse('cygnet-mediation'),
    localId: remoteId,
    remoteId: 'O=mesh, CN=*',
    ike,
  };
}

export function hub(): ConnectionOf<'hub'> {
  return {
    kind: 'hub',
    name: connectionNameSchema.parse('cygnet-spoke-edge2'),
    localId: 'master1.mesh',
    remoteId: 'edge2.mesh',
    ike: spoke().ike,
    peer: nodeNameSchema.parse('edge2'),
    children: [child('edge1--remote', { priority: 2000, start: 'add' })],
  };
}

/** A valid state with one connection of every kind. */
export function everyKind(): DesiredState {
  return desired(mediationServer(), medsrv(), mediatedPeer(), hub(), spoke());
}
