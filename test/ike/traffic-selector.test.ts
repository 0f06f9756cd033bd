import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { addressSchema, canonicalCidr, cidrSchema, cidrsOverlap, mergedCidrs } from '../../src/ike/traffic-selector.ts';

const networkV4 = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([address, prefix]) => {
  const network = ipaddr.IPv4.networkAddressFromCIDR(`${address}/${prefix}`).toString();
  return `${network}/${prefix}`;
});
const networkV6 = fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([address, prefix]) => {
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${ipaddr.IPv6.parse(address).toString()}/${prefix}`).toString();
  return `${network}/${prefix}`;
});
const network = fc.oneof(networkV4, networkV6);

describe('a subnet', () => {
  it.each([
    ['10.1.0.0/24', '10.1.0.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['192.0.2.7/32', '192.0.2.7/32'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:db8:0:0:0:0:0:1/128', '2001:db8::1/128'],
    ['::/0', '::/0'],
  ])('%s is written %s', (text, canonical) => expect(canonicalCidr(text)).toBe(canonical));

  it.each([
    ['host bits', '10.1.0.1/24'],
    ['host bits in IPv6', '2001:db8::1/64'],
    ['no prefix', '10.1.0.0'],
    ['a prefix that is too long', '10.1.0.0/33'],
    ['an octal part, which strongSwan would read otherwise', '010.0.0.0/8'],
    ['too few parts', '10.1/16'],
    ['a number', '0x0a000000/8'],
    ['a zone', 'fe80::%eth0/10'],
    ['a range', '10.1.0.0-10.1.0.9'],
    ['spaces', ' 10.1.0.0/24'],
    ['a protocol and port', '10.1.0.0/24[tcp/80]'],
    ['nothing', ''],
  ])('with %s is refused, and the message quotes it', (_what, text) => {
    expect(canonicalCidr(text)).toBeUndefined();
    expect(cidrSchema.safeParse(text).error?.issues[0]?.message).toContain(text);
  });

  it('has one spelling only', () =>
    fc.assert(
      fc.property(network, (cidr) => {
        const canonical = canonicalCidr(cidr) ?? '';
        expect(canonicalCidr(canonical)).toBe(canonical);
        expect(ipaddr.parseCIDR(canonical).join('/')).toBe(ipaddr.parseCIDR(cidr).join('/'));
      }),
    ));

  it('never throws, whatever the text', () =>
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => void canonicalCidr(text))));
});

describe('overlap', () => {
  it.each([
    ['10.0.0.0/8', '10.1.0.0/16', true],
    ['10.0.0.0/16', '10.1.0.0/16', false],
    ['0.0.0.0/0', '192.0.2.1/32', true],
    ['::/0', '0.0.0.0/0', false],
    ['2001:db8::/33', '2001:db8:8000::/33', false],
  ])('of %s and %s is %s', (a, b, overlap) => expect(cidrsOverlap(a, b)).toBe(overlap));

  it('is the same both ways, and every network overlaps itself', () =>
    fc.assert(
      fc.property(network, network, (a, b) => {
        expect(cidrsOverlap(a, a)).toBe(true);
        expect(cidrsOverlap(a, b)).toBe(cidrsOverlap(b, a));
      }),
    ));

  it('holds exactly when one of the two contains the other’s first address', () =>
    fc.assert(
      fc.property(networkV4, networkV4, (a, b) => {
        const contains = (outer: string, inner: string): boolean =>
          ipaddr.parse(inner.split('/')[0] ?? '').match(ipaddr.parseCIDR(outer));
        expect(cidrsOverlap(a, b)).toBe(contains(a, b) || contains(b, a));
      }),
    ));
});

describe('merging', () => {
  it.each([
    [[], []],
    [['10.0.1.0/24', '10.0.0.0/24'], ['10.0.0.0/23']],
    [
      ['10.0.1.0/24', '10.0.2.0/24'],
      ['10.0.1.0/24', '10.0.2.0/24'],
    ],
    [['10.0.0.0/24', '10.0.1.0/25', '10.0.1.128/25', '10.0.2.0/23'], ['10.0.0.0/22']],
    [['10.0.0.0/8', '10.1.0.0/16', '10.0.0.0/8'], ['10.0.0.0/8']],
    [
      ['0.0.0.0/1', '128.0.0.0/1', '2001:db8:8000::/33', '2001:db8::/33', '::/128'],
      ['0.0.0.0/0', '::/128', '2001:db8::/32'],
    ],
  ])('%j gives %j', (cidrs, merged) => expect(mergedCidrs(cidrs)).toEqual(merged));

  it('keeps every address, adds none, and leaves nothing to merge', () => {
    const small = fc.tuple(fc.nat({ max: 31 }), fc.integer({ min: 27, max: 32 })).map(([last, prefix]) => {
      return `${ipaddr.IPv4.networkAddressFromCIDR(`192.0.2.${last}/${prefix}`).toString()}/${prefix}`;
    });
    const addressesIn = (cidrs: readonly string[]): string[] =>
      Array.from({ length: 32 }, (_, last) => `192.0.2.${last}`).filter((address) =>
        cidrs.some((cidr) => ipaddr.parse(address).match(ipaddr.parseCIDR(cidr))),
      );
    fc.assert(
      fc.property(fc.array(small, { maxLength: 12 }), (cidrs) => {
        const merged = mergedCidrs(cidrs);
        expect(addressesIn(merged)).toEqual(addressesIn(cidrs));
        // As few as there are maximal aligned blocks.
        const sizes = merged.map((cidr) => 2 ** (32 - ipaddr.parseCIDR(cidr)[1]));
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(addressesIn(cidrs).length);
        expect(mergedCidrs(merged)).toEqual(merged);
        for (const cidr of merged) {
          const [, prefix] = ipaddr.parseCIDR(cidr);
          const twice = ipaddr.IPv4.networkAddressFromCIDR(`${cidr.split('/')[0]}/${prefix - 1}`).toString();
          const all = addressesIn([`${twice}/${prefix - 1}`]);
          expect(prefix > 27 && all.every((address) => addressesIn(cidrs).includes(address))).toBe(false);
        }
      }),
    );
  });
});

describe('an address', () => {
  it.each(['203.0.113.10', '2001:db8::1'])('%s is one', (text) => expect(addressSchema.parse(text)).toBe(text));

  it.each(['203.0.113', '010.0.0.1', '256.1.1.1', '%any', '10.0.0.0/8', 'host.example', ''])('%j is none', (text) =>
    expect(addressSchema.safeParse(text).success).toBe(false),
  );
});
