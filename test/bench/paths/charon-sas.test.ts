import { expect, it } from 'vitest';
import type { ViciIkeSa } from '../../../src/vici/index.ts';
import { createdIn, duplicatesIn } from './charon-sas.ts';

function sa(uniqueid: number, change: Partial<ViciIkeSa>, ...children: readonly [string, string][]): ViciIkeSa {
  const childSas = children.map(([name, state], index) => [`${name}-${index}`, { name, state }]);
  const listed = {
    name: 'cygnet-peer-remote',
    uniqueid,
    state: 'ESTABLISHED',
    'local-id': 'CN=edge1',
    'remote-id': 'CN=remote',
    ...change,
  };
  return { ...listed, 'child-sas': new Map(childSas as never) } as unknown as ViciIkeSa;
}

it('a second IKE SA with the same node is a duplicate, under another name as well', () => {
  expect(duplicatesIn([sa(1, {}), sa(2, { 'remote-id': 'remote.seed' })])).toBe(0);
  expect(duplicatesIn([sa(1, {}), sa(2, { 'local-id': 'edge1.seed' })])).toBe(0);
  expect(duplicatesIn([sa(1, {}), sa(2, { name: 'cygnet-peer-remote--master2' })])).toBe(1);
});

it('so is a second CHILD SA of a link, in one IKE SA or in two', () => {
  const child = ['edge1--remote', 'INSTALLED'] as const;
  expect(duplicatesIn([sa(1, {}, [...child], [...child])])).toBe(1);
  expect(duplicatesIn([sa(1, {}, [...child]), sa(2, {}, [...child])])).toBe(2);
});

it('what is going or has not come is none', () => {
  expect(duplicatesIn([sa(1, {}), sa(2, { state: 'DELETING' }), sa(3, { state: 'CREATED' })])).toBe(0);
  expect(duplicatesIn([sa(1, {}, ['a', 'INSTALLED'], ['a', 'REKEYED'])])).toBe(0);
});

it('tells which IKE SAs wait for a mediation', () => {
  expect(createdIn([sa(1, {}), sa(2, { state: 'CREATED' })])).toEqual(new Set(['2']));
});
