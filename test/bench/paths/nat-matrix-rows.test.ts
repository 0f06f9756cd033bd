import { expect, it } from 'vitest';
import { expectedCause, isNamedByBoth } from './nat-matrix-rows.ts';

it.each([
  ['cone', 'cone', undefined],
  ['none', 'symmetric', undefined],
  ['double NAT', 'double NAT', undefined],
  ['cone', 'symmetric', 'symmetric-nat'],
  ['symmetric', 'symmetric', 'symmetric-nat'],
  ['symmetric', 'udp-blocked', 'symmetric-nat'],
  ['none', 'udp-blocked', 'udp-blocked'],
] as const)('%s and %s are kept apart by %s', (a, b, cause) => {
  expect(expectedCause([a, b])).toBe(cause);
  expect(expectedCause([b, a])).toBe(cause);
});

it('a cause that one end names and the other does not is not enough', () => {
  const [named, unnamed] = ['udp-blocked', null].map((cause) => ({ peer: 'remote', path: 'relay' as const, cause }));
  expect(isNamedByBoth([named, named], 'udp-blocked')).toBe(true);
  for (const other of [unnamed, undefined, { ...named!, cause: 'symmetric-nat' }])
    expect(isNamedByBoth([named, other], 'udp-blocked')).toBe(false);
});
