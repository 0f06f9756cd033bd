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
  const [addressA, prefixA] = ipaddr.parseCIDR(a);
  const [addressB, prefixB] = ipaddr.parseCIDR(b);
  if (addressA.kind() !== addressB.kind()) return false;
  const prefix = Math.min(prefixA, prefixB);
  return networkOf(addressA, prefix) === networkOf(addressB, prefix);
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
