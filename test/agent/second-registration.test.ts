import { describe, expect, it } from 'vitest';
import { desiredStateSchema } from '../../src/ike/desired-state.ts';
import { mediatedLinks } from '../../src/agent/hints.ts';
import { heldBy, withSecondRegistrations } from '../../src/agent/second-registration.ts';
import { linkedTo } from './links.ts';

const mesh = linkedTo('p1', 'p2');
const held = withSecondRegistrations(mesh, new Set(['cygnet-peer-p1']));

describe('a second registration', () => {
  it('is made under the other identity, for the peers that charon is held up with', () => {
    expect(held.connections.slice(0, mesh.connections.length)).toEqual(mesh.connections);
    const [client, ...peers] = held.connections.slice(mesh.connections.length);
    const [first, peer] = mesh.connections;
    expect(client).toEqual({ ...first, name: 'cygnet-medsrv-master1.again', localId: `edge1.${mesh.mesh}` });
    expect(peers).toEqual([{ ...peer, name: 'cygnet-peer-p1.again', mediatedBy: 'cygnet-medsrv-master1.again' }]);
  });

  it('is the last of the ways of their links, through the same mediator', () => {
    const [one, two] = mediatedLinks(held);
    expect(one?.ways.map(({ mediator, connection, mediatedBy }) => [mediator, connection, mediatedBy])).toEqual([
      ['master1', 'cygnet-peer-p1', 'cygnet-medsrv-master1'],
      ['master1', 'cygnet-peer-p1.again', 'cygnet-medsrv-master1.again'],
    ]);
    expect(two?.ways).toHaveLength(1);
  });

  it('makes a state that is as sound as the coordinator’s', () => {
    expect(desiredStateSchema.parse(held)).toEqual(held);
  });

  it.each([[new Set<string>()], [new Set(['cygnet-peer-p9', 'cygnet-medsrv-master1', 'cygnet-peer-p1.again'])]])(
    'is not made for nobody: %o',
    (names) => expect(withSecondRegistrations(mesh, names)).toBe(mesh),
  );

  it('is known by what charon has loaded', () => {
    const loaded = new Set(held.connections.map(({ name }) => name as string));
    expect(withSecondRegistrations(mesh, heldBy(loaded))).toEqual(held);
    expect(heldBy(new Set(mesh.connections.map(({ name }) => name as string)))).toEqual(new Set());
  });
});
