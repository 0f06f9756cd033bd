import ipaddr from 'ipaddr.js';

/** An address and a UDP port. */
export interface Endpoint {
  /** In the form that {@link canonicalAddress} gives, so that two can be compared as text. */
  readonly address: string;
  readonly port: number;
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

/** The one spelling of an address, without a zone; undefined when the text is none. */
export function canonicalAddress(text: string): string | undefined {
  const [address = ''] = text.split('%');
  return ipaddr.isValid(address) ? ipaddr.parse(address).toString() : undefined;
}

export function isIpv6(address: string): boolean {
  return address.includes(':');
}

/** The 4 or 16 bytes of an address. Throws when the text is none. */
export function addressBytes(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray());
}

/** The address of 4 or 16 bytes; throws on any other number of them. */
export function addressOfBytes(bytes: Uint8Array): string {
  return ipaddr.fromByteArray([...bytes]).toString();
}
