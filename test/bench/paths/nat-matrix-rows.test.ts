import { expect, it } from 'vitest';
import { expectedCause } from './nat-matrix-rows.ts';

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
