import {
  childNameSchema,
  connectionNameSchema,
  linkIdSchema,
  nodeNameSchema,
  type ConnectionOf,
} from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { LinkHint } from '../../src/control/frames.ts';
import { child, desired, mediatedPeer, medsrv } from '../reconcile/builders.ts';

/** edge1 with a mediated link to each of these nodes; the link is named `edge1--PEER`, its connection `cygnet-peer-PEER`. */
export function linkedTo(...peers: readonly string[]): DesiredState {
  const connections = peers.map(peerConnection);
  return {
    ...desired(medsrv(), ...connections),
    links: connections.map(({ name, peer }) => ({
      id: linkIdSchema.parse(`edge1--${peer}`),
      peer,
      localSubnets: ['7.7.7.0/24'],
      remoteSubnets: ['7.7.8.0/24'],
      direct: [{ connection: name, child: childNameSchema.parse(`edge1--${peer}`) }],
      relay: [],
    })),
  };
}

function peerConnection(peer: string): ConnectionOf<'mediated-peer'> {
  return mediatedPeer({
    name: connectionNameSchema.parse(`cygnet-peer-${peer}`),
    peer: nodeNameSchema.parse(peer),
    children: [child(`edge1--${peer}`)],
  });
}

/** The coordinator's word on the link to this peer. */
export function hint(peer: string, change: Partial<LinkHint> = {}): LinkHint {
  return {
    link: `edge1--${peer}`,
    mediator: 'master1',
    peerOnline: true,
    peerRegistered: true,
    peerNat: 'unknown',
    initiate: true,
    ...change,
  };
}
