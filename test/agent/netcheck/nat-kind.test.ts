import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { natKindOf, type Sighting } from '../../../src/agent/netcheck/nat-kind.ts';

const own = { address: '192.168.1.2', port: 40_000 };
const sighting = (address: string, port = 40_000, local = own): Sighting => ({ local, mapped: { address, port } });
const other = { address: '10.9.9.9', port: 40_000 };
const own6 = { address: '2001:db8::2', port: 40_000 };

it.each<[string, readonly Sighting[], boolean, string]>([
  ['nothing answers', [], false, 'blocked'],
  ['only an IKE daemon answers', [], true, 'unknown'],
  ['one destination sees the own endpoint', [sighting(own.address)], true, 'none'],
  ['all see the own endpoint', [sighting(own.address), sighting(own.address)], true, 'none'],
  ['all see one other endpoint', [sighting('203.0.113.21'), sighting('203.0.113.21')], true, 'cone'],
  ['all see the own address with another port', [sighting(own.address, 7), sighting(own.address, 7)], true, 'cone'],
  ['each sees another port', [sighting('203.0.113.21', 1), sighting('203.0.113.21', 2)], true, 'symmetric'],
  ['each sees another address', [sighting('203.0.113.21'), sighting('203.0.113.22')], true, 'symmetric'],
  ['one of three sees another port', [1, 1, 2].map((port) => sighting('203.0.113.21', port)), true, 'symmetric'],
  ['there is one answer only', [sighting('203.0.113.21')], true, 'unknown'],
  ['one of two is on this side of the NAT', [sighting(own.address), sighting('203.0.113.21')], true, 'unknown'],
  [
    'one of three is on this side of the NAT',
    [sighting(own.address), sighting('203.0.113.21'), sighting('203.0.113.21')],
    true,
    'cone',
  ],
  [
    'two uplinks have a NAT each, which keeps its mapping',
    [1, 1].flatMap(() => [sighting('203.0.113.21'), sighting('203.0.113.99', 40_000, other)]),
    true,
    'cone',
  ],
  [
    'IPv6 has no NAT, and IPv4 a symmetric one',
    [sighting(own6.address, 40_000, own6), sighting('203.0.113.21', 1), sighting('203.0.113.21', 2)],
    true,
    'symmetric',
  ],
])('when %s', (_what, sightings, heard, kind) => expect(natKindOf(sightings, heard)).toBe(kind));

it('does not depend on the order of the answers', () => {
  const sightings = fc.array(
    fc.record({
      local: fc.constantFrom(own, other, own6),
      mapped: fc.constantFrom(
        own,
        other,
        own6,
        { address: '203.0.113.21', port: 1 },
        { address: '203.0.113.21', port: 2 },
      ),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(sightings, (some) => {
      expect(natKindOf([...some].reverse(), true)).toBe(natKindOf(some, true));
    }),
  );
});
