import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { findOverlaps } from '../../src/coordinator/subnet-overlap.ts';
import { canonicalCidr, cidrsOverlap } from '../../src/ike/traffic-selector.ts';

const subnet = fc.record({
  owner: fc.constantFrom('a', 'b', 'c'),
  cidr: fc
    .tuple(
      fc.constantFrom('10.0.0.0', '10.0.0.128', '10.0.64.0', '10.128.0.0', '0.0.0.0'),
      fc.integer({ min: 0, max: 32 }),
    )
    .map(([address, prefix]) => canonicalCidr(`${address}/${prefix}`))
    .filter((cidr) => cidr !== undefined),
});

it('finds an overlap for exactly those subnets that lie in one of another owner', () => {
  fc.assert(
    fc.property(fc.array(subnet, { maxLength: 8 }), (subnets) => {
      const overlapping = subnets.some((a) => subnets.some((b) => a.owner !== b.owner && cidrsOverlap(a.cidr, b.cidr)));
      const found = findOverlaps(subnets);
      expect(found.length > 0).toBe(overlapping);
      for (const [inner, outer] of found) {
        expect(inner.owner).not.toBe(outer.owner);
        expect(cidrsOverlap(inner.cidr, outer.cidr)).toBe(true);
      }
    }),
  );
});

it('keeps the address families apart', () => {
  const subnets = [
    { owner: 'a', cidr: '0.0.0.0/0' },
    { owner: 'b', cidr: '::/0' },
  ];
  expect(findOverlaps(subnets)).toEqual([]);
});

it('sees past the owner’s own subnets', () => {
  const subnets = ['10.0.0.0/8', '10.1.0.0/16', '10.1.1.0/24'].map((cidr, index) => ({
    owner: index === 0 ? 'a' : 'b',
    cidr,
  }));
  expect(findOverlaps(subnets).map(([inner, outer]) => [inner.cidr, outer.cidr])).toEqual([
    ['10.1.0.0/16', '10.0.0.0/8'],
    ['10.1.1.0/24', '10.0.0.0/8'],
  ]);
});
