import { describe, expect, it } from 'vitest';
import { indexSas, installedIn } from '../../src/agent/installed-sas.ts';
import { childNameSchema } from '../../src/ike/connection.ts';
import { childSa, ikeSa, names } from '../reconcile/builders.ts';

const refOf = (connection: string, child: string): Parameters<typeof installedIn>[0][number] => ({
  connection: connection as typeof names.peer,
  child: childNameSchema.parse(child),
});
const link = refOf(names.peer, 'edge1--remote');
const carrier = ikeSa(names.peer, { uniqueId: 3, childSas: [childSa('edge1--remote')] });
const idsIn = (...args: Parameters<typeof installedIn>): number[] =>
  installedIn(...args).map(({ uniqueId }) => uniqueId);

describe('an index of IKE SAs', () => {
  it('has those of each connection, in charon’s order, and none of others', () => {
    const [first, other, second] = [ikeSa('a', { uniqueId: 1 }), ikeSa('b'), ikeSa('a', { uniqueId: 2 })];
    const sasOf = indexSas([first, other, second]);
    expect([sasOf('a'), sasOf('b'), sasOf('c')]).toEqual([[first, second], [other], []]);
  });
});

describe('a CHILD SA carries traffic', () => {
  it.each([
    ['INSTALLED', true],
    ['REKEYING', true],
    ['REKEYED', true],
    ['CREATED', false],
    ['INSTALLING', false],
    ['DELETING', false],
  ])('while it is %s: %s', (state, carries) => {
    const sas = [{ ...carrier, childSas: [childSa('edge1--remote', { state })] }];
    expect(idsIn([link], indexSas(sas))).toEqual(carries ? [3] : []);
  });

  it.each([
    ['ESTABLISHED', true],
    ['REKEYING', true],
    ['REKEYED', true],
    ['DELETING', false],
  ])('in an IKE SA that is %s: %s', (state, carries) =>
    expect(idsIn([link], indexSas([{ ...carrier, state }]))).toEqual(carries ? [3] : []),
  );

  it('of its own configuration in its own connection, and of each that is asked for', () => {
    const other = ikeSa('cygnet-peer-remote--second', { uniqueId: 4, childSas: [childSa('edge1--remote')] });
    const sasOf = indexSas([other, carrier, ikeSa(names.peer, { uniqueId: 5, childSas: [childSa('edge1--other')] })]);
    expect(idsIn([link], sasOf)).toEqual([3]);
    expect(idsIn([link, refOf(other.name, 'edge1--remote')], sasOf)).toEqual([3, 4]);
    expect(idsIn([], sasOf)).toEqual([]);
  });
});
