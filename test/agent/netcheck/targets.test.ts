import { expect, it } from 'vitest';
import { isAsked, targetsOf } from '../../../src/agent/netcheck/targets.ts';
import { connectionNameSchema, nodeNameSchema } from '../../../src/ike/connection.ts';
import type { DesiredState } from '../../../src/ike/desired-state.ts';
import { desired, mediatedPeer, medsrv, spoke } from '../../reconcile/builders.ts';

const { localId, remoteId, ike } = medsrv();
const name = connectionNameSchema.parse('cygnet-in');
const mediator: DesiredState['connections'][number] = { kind: 'mediation-server', name, localId, remoteId, ike };
const hub: DesiredState['connections'][number] = {
  kind: 'hub',
  name,
  localId,
  remoteId,
  ike,
  peer: nodeNameSchema.parse('edge1'),
  children: [],
};

it('are the mediators and hubs, each address once', () =>
  expect(
    targetsOf(desired(medsrv({ remoteAddresses: ['203.0.113.10', 'hub.example'] }), spoke(), mediatedPeer())),
  ).toEqual([
    { node: 'master1', host: '203.0.113.10' },
    { node: 'master1', host: 'hub.example' },
  ]));

it('are none without a desired state, and on a node that others connect to', () => {
  expect(targetsOf(undefined)).toEqual([]);
  expect(targetsOf(desired(mediator))).toEqual([]);
});

it('are at most 16', () => {
  const many = Array.from({ length: 20 }, (_, index) =>
    medsrv({ mediator: nodeNameSchema.parse(`m${index}`), remoteAddresses: ['203.0.113.10'] }),
  );
  expect(targetsOf(desired(...many))).toHaveLength(16);
});

it.each<[string, DesiredState | undefined, boolean]>([
  ['a mediator', desired(mediator), true],
  ['a hub', desired(hub), true],
  ['a node behind a NAT', desired(medsrv(), spoke(), mediatedPeer()), false],
  ['a node without a desired state', undefined, false],
])('%s is asked or not', (_what, state, asked) => expect(isAsked(state)).toBe(asked));
