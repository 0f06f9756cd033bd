import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** The network in canonical form (`10.0.0.0/8`), or undefined when the text is no CIDR or has host bits set. */
export function canonicalCidr(text: string): string | undefined {
  // Stricter than the library, which reads `010.0.0.0/8` as octal and lets an IPv6 zone through.
  if (!ipaddr.IPv4.isValidCIDRFourPartDecimal(text) && !isIpv6Cidr(text)) return undefined;
  const [address, prefix] = ipaddr.parseCIDR(text);
  const networkText = `${networkOf(address, prefix)}/${prefix}`;
  return networkText === `${address.toString()}/${prefix}` ? networkText : undefined;
}

function isIpv6Cidr(text: string): boolean {
  return ipaddr.IPv6.isValidCIDR(text) && !text.includes('%');
}

function networkOf(address: ipaddr.IPv4 | ipaddr.IPv6, prefix: number): string {
  const cidr = `${address.toString()}/${prefix}`;
  return (address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6).networkAddressFromCIDR(cidr).toString();
}

/** True when the two networks share an address. */
export function cidrsOverlap(a: string, b: string): boolean {
  return isWithin(parsed(a), parsed(b)) || isWithin(parsed(b), parsed(a));
}

/** The fewest networks that have exactly the addresses of these, in the order of their addresses. */
export function mergedCidrs(cidrs: readonly string[]): string[] {
  const merged: Network[] = [];
  for (const network of cidrs.map(parsed).sort(byAddress)) {
    const last = merged.at(-1);
    if (last !== undefined && isWithin(network, last)) continue;
    merged.push(network);
    while (areHalves(merged.at(-2), merged.at(-1))) {
      const [half] = merged.splice(-2);
      if (half !== undefined) merged.push({ ...half, prefix: half.prefix - 1 });
    }
  }
  return merged.map(({ address, prefix }) => `${address.toString()}/${prefix}`);
}

interface Network {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6;
  readonly prefix: number;
}

function parsed(cidr: string): Network {
  const [address, prefix] = ipaddr.parseCIDR(cidr);
  return { address, prefix };
}

/** IPv4 first; of two that begin alike the larger one. */
function byAddress(a: Network, b: Network): number {
  const [bytesA, bytesB] = [a.address.toByteArray(), b.address.toByteArray()];
  return (
    bytesA.length - bytesB.length || Buffer.compare(Buffer.from(bytesA), Buffer.from(bytesB)) || a.prefix - b.prefix
  );
}

function isWithin({ address, prefix }: Network, outer: Network): boolean {
  if (address.kind() !== outer.address.kind() || prefix < outer.prefix) return false;
  return networkOf(address, outer.prefix) === networkOf(outer.address, outer.prefix);
}

/** Of two in order, whether they are all of the network that is twice as large. */
function areHalves(a: Network | undefined, b: Network | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.prefix === b.prefix &&
    isWithin(b, { ...a, prefix: Math.max(0, a.prefix - 1) })
  );
}

/** True when both have the same selectors, in whatever order. */
export function sameSelectors(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((selector) => b.includes(selector));
}

/** A subnet as a traffic selector: a CIDR without host bits. */
export const cidrSchema = z
  .string()
  .max(64)
  .transform((text, context) => {
    const cidr = canonicalCidr(text);
    if (cidr !== undefined) return cidr;
    context.addIssue({
      code: 'custom',
      message: `not a network in CIDR form (such as 10.1.0.0/24, no host bits): ${text}`,
    });
    return z.NEVER;
  });

/** An IPv4 or IPv6 address. */
export const addressSchema = z
  .string()
  .max(64)
  .refine((text) => ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text), {
    error: (issue) => `not an IP address: ${String(issue.input)}`,
  });
