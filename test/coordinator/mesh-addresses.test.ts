import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocateMeshAddresses, relayAddressOf, roomIn } from '../../src/coordinator/mesh-addresses.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { childrenOf } from '../../src/ike/connection.ts';
import { compiled, connectionOf, mistakesIn, SEED_SPEC, specOf, stateOf } from './spec-builders.ts';

const allocate = (text: string, known: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(allocateMeshAddresses(specOf(text), new Map(Object.entries(known)) as Map<NodeName, string>));

const nodes = (lines: Readonly<Record<string, string>>, range = ''): string =>
  `${range}\nnodes:\n${Object.entries(lines)
    .map(([name, fields]) => `  ${name}: { ${fields} }\n`)
    .join('')}`;

describe('mesh addresses', () => {
  it('are the lowest even ones of the range, in the order of the spec', () =>
    expect(allocate(nodes({ b: '', a: '' }))).toEqual({ b: '100.96.0.2', a: '100.96.0.4' }));

  it('stay with their nodes when others come and go', () => {
    const known = { a: '100.96.0.2', gone: '100.96.0.4', b: '100.96.0.6' };
    expect(allocate(nodes({ c: '', b: '', a: '' }), known)).toEqual({
      c: '100.96.0.8',
      b: '100.96.0.6',
      a: '100.96.0.2',
    });
  });

  it('are given back to a node that comes back', () =>
    expect(allocate(nodes({ a: '', gone: '' }), { gone: '100.96.0.2' })).toEqual({
      a: '100.96.0.4',
      gone: '100.96.0.2',
    }));

  it('are kept for a node that is gone, until nothing else is free', () => {
    const known = { old: '10.0.0.2', older: '10.0.0.6' };
    const given = (...names: readonly string[]): string[] =>
      Object.values(
        allocate(nodes(Object.fromEntries(names.map((name) => [name, ''])), 'meshRange: 10.0.0.0/28'), known),
      );
    const unused = ['10.0.0.4', '10.0.0.8', '10.0.0.10', '10.0.0.12'];
    expect(given('a', 'b', 'c', 'd')).toEqual(unused);
    expect(given('a', 'b', 'c', 'd', 'e', 'f')).toEqual([...unused, '10.0.0.2', '10.0.0.6']);
    expect(given('a', 'b', 'c', 'd', 'e', 'old'), 'one that comes back has its own').toEqual([
      ...unused,
      '10.0.0.6',
      '10.0.0.2',
    ]);
  });

  it('suffice for the smallest range, however many nodes have come and gone', () => {
    const known: Record<string, string> = {};
    for (let round = 0; round < 5; round += 1) {
      const given = allocate(nodes({ [`a${round}`]: '', [`b${round}`]: '' }, 'meshRange: 10.0.0.0/29'), known);
      expect(given).toEqual({ [`a${round}`]: '10.0.0.2', [`b${round}`]: '10.0.0.4' });
      Object.assign(known, given);
    }
  });

  it('whose first owner came back when it was given away stay with their second one', () =>
    expect(allocate(nodes({ old: '', a: '' }, 'meshRange: 10.0.0.0/28'), { a: '10.0.0.2', old: '10.0.0.2' })).toEqual({
      a: '10.0.0.2',
      old: '10.0.0.4',
    }));

  it('can be fixed, and then whoever had it gets another', () =>
    expect(allocate(nodes({ a: '', b: 'meshAddress: 100.96.0.2' }), { a: '100.96.0.2' })).toEqual({
      a: '100.96.0.4',
      b: '100.96.0.2',
    }));

  it('move with the range', () =>
    expect(allocate(nodes({ a: '' }, 'meshRange: 10.9.8.0/28'), { a: '100.96.0.2' })).toEqual({ a: '10.9.8.2' }));

  it('can be off', () => expect(allocate(nodes({ a: '' }, 'meshRange: "off"'))).toEqual({}));

  it('are unique, even and in the range, whatever came before', () => {
    const name = fc.integer({ min: 0, max: 30 }).map((number) => `n${number}`);
    const known = fc.dictionary(
      name,
      fc.integer({ min: 0, max: 127 }).map((last) => `10.0.0.${last * 2}`),
    );
    const present = fc.uniqueArray(name, { minLength: 1, maxLength: roomIn('10.0.0.0/26') });
    fc.assert(
      fc.property(known, present, (had, names) => {
        const given = allocate(
          nodes(Object.fromEntries(names.map((each) => [each, ''])), 'meshRange: 10.0.0.0/26'),
          had,
        );
        expect(Object.keys(given).toSorted()).toEqual(names.toSorted());
        const lasts = Object.values(given).map((address) => Number(/^10\.0\.0\.(\d+)$/.exec(address)?.[1]));
        expect(new Set(lasts).size).toBe(lasts.length);
        for (const last of lasts) expect([last % 2, last >= 2 && last <= 60]).toEqual([0, true]);
      }),
    );
  });
});

describe('a spec with mesh addresses', () => {
  it.each([
    ['an odd one', 'meshAddress: 100.96.0.3', '', /100\.96\.0\.3 is not an even address inside 100\.96\.0\.0\/16/],
    ['one outside', 'meshAddress: 10.0.0.2', '', /10\.0\.0\.2 is not an even address inside/],
    ['the first', 'meshAddress: 100.96.0.0', '', /first and last two stay free/],
    ['one without a range', 'meshAddress: 100.96.0.2', 'meshRange: "off"', /meshRange is off/],
    ['a range that a subnet is in', 'subnets: [100.96.7.0/24]', '', /overlaps 100\.96\.7\.0\/24 of node "a"/],
    ['a range inside a subnet', 'subnets: [10.0.0.0/8]', 'meshRange: 10.1.0.0/16', /overlaps 10\.0\.0\.0\/8/],
    ['a range that is too small', '', 'meshRange: 10.1.0.0/30', /not an IPv4 network of eight addresses or more/],
    ['a range of IPv6', '', 'meshRange: fd00::/64', /not an IPv4 network/],
  ])('is refused for %s', (_what, fields, range, expected) =>
    expect(mistakesIn(nodes({ a: fields }, range))).toEqual([expect.stringMatching(expected)]),
  );

  it('is refused for an address that two nodes have', () =>
    expect(mistakesIn(nodes({ a: 'meshAddress: 100.96.0.2', b: 'meshAddress: 100.96.0.2' }))).toEqual([
      expect.stringContaining('100.96.0.2 is the address of node "a" already'),
    ]));

  it('is refused for more nodes than its range has room for', () =>
    expect(mistakesIn(nodes({ a: '', b: '', c: '' }, 'meshRange: 10.0.0.0/29'))).toEqual([
      expect.stringContaining('10.0.0.0/29 has room for 2 nodes, and there are 3'),
    ]));

  const addresses = allocateMeshAddresses(specOf(SEED_SPEC), new Map());
  const edge1 = stateOf(compiled(SEED_SPEC, addresses), 'edge1');
  const [own, peer] = ['edge1', 'remote'].map((name) => addresses.get(name as NodeName)!) as [string, string];

  it('tells each node its own pair, and its peers’', () => {
    expect(edge1.addresses).toEqual({ mesh: own, relay: relayAddressOf(own) });
    expect(edge1.links.find((link) => link.peer === 'remote')?.peerAddresses).toEqual({
      mesh: peer,
      relay: relayAddressOf(peer),
    });
  });

  it('has the mesh address in the direct tunnel, and the whole pair in the relay', () => {
    const direct = childrenOf(connectionOf(edge1, 'cygnet-peer-remote'));
    expect(direct.map(({ localSubnets, remoteSubnets }) => [localSubnets, remoteSubnets])).toEqual([
      [
        ['7.7.7.0/24', `${own}/32`],
        ['7.7.8.0/24', `${peer}/32`],
      ],
    ]);
    const relay = childrenOf(connectionOf(edge1, 'cygnet-hub-master1')).find(({ name }) => name === 'edge1--remote');
    expect(relay).toMatchObject({
      localSubnets: ['7.7.7.0/24', `${own}/31`],
      remoteSubnets: ['7.7.8.0/24', `${peer}/31`],
    });
  });
});
