import ipaddr from 'ipaddr.js';

/** Who has which subnet; `Owner` tells the finder's caller which entry of its own it was. */
export interface OwnedSubnet<Owner> {
  readonly owner: Owner;
  readonly cidr: string;
}

interface Range<Owner> extends OwnedSubnet<Owner> {
  /** First and last address in hexadecimal with the family in front, so that text order is address order. */
  readonly first: string;
  readonly last: string;
}

/**
 * Pairs of subnets with different owners that share an address: for each subnet the innermost of those that contain
 * it. Two networks are either nested or apart, so one pass over the sorted list finds them.
 */
export function findOverlaps<Owner>(
  subnets: readonly OwnedSubnet<Owner>[],
): readonly (readonly [inner: OwnedSubnet<Owner>, outer: OwnedSubnet<Owner>])[] {
  const ranges = subnets.map(rangeOf).sort((a, b) => compare(a.first, b.first) || compare(b.last, a.last));
  const enclosing: Range<Owner>[] = [];
  const found: [OwnedSubnet<Owner>, OwnedSubnet<Owner>][] = [];
  for (const range of ranges) {
    while (enclosing.length > 0 && compare(enclosing.at(-1)?.last ?? '', range.first) < 0) enclosing.pop();
    const outer = enclosing.findLast(({ owner }) => owner !== range.owner);
    if (outer !== undefined) found.push([range, outer]);
    enclosing.push(range);
  }
  return found;
}

function rangeOf<Owner>(subnet: OwnedSubnet<Owner>): Range<Owner> {
  const [address, prefix] = ipaddr.parseCIDR(subnet.cidr);
  const first = address.toByteArray();
  const last = first.map((byte, index) => byte | (0xff >> Math.min(8, Math.max(0, prefix - index * 8))));
  const text = (bytes: readonly number[]): string => address.kind() + Buffer.from(bytes).toString('hex');
  return { ...subnet, first: text(first), last: text(last) };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
