import { expect, it } from 'vitest';
import { fragmentsIn, fragmentsMade } from '../../../src/agent/netcheck/fragments.ts';

it.each([
  ['IPv4', 'Ip: Forwarding FragOKs FragFails FragCreates OutTransmits\nIp: 2 3 0 6 99\nIcmp: InMsgs\nIcmp: 0\n', 6],
  ['IPv6', 'Ip6InReceives                   	41\nIp6FragCreates                  	4\n', 4],
  ['nothing', '', 0],
  ['a kernel that counts otherwise', 'Ip: Forwarding\nIp: 2\n', 0],
  ['no numbers', 'Ip: FragCreates\nIp: many\n', 0],
])('are read: %s', (_what, counters, fragments) => expect(fragmentsIn(counters)).toBe(fragments));

it('are counted on any machine', () => expect(fragmentsMade()).toBeGreaterThanOrEqual(0));
