import { isIP } from 'node:net';
import type { IpsecKeywords } from './ipsec-keywords.ts';
import type { IpsecEnd } from './ipsec-side.ts';

const PORT = /^(?:%any|%opaque|\d{1,5}(?:-\d{1,5})?|[a-z][a-z0-9+-]*)$/i;
const PROTOCOL = /^(?:%any|\d{1,3}|[a-z][a-z0-9.+-]*)?$/i;

/**
 * One end's traffic selectors in charon's spelling (strongSwan: `stroke_config.c` add_ts). Without a subnet it is the
 * address itself, `dynamic`. Like there, a subnet that makes no sense is left out.
 */
export function readSelectors(keywords: IpsecKeywords, { prefix }: IpsecEnd): readonly string[] {
  const protocolAndPort = readProtocolAndPort(keywords, prefix);
  const names = [`${prefix}subnet`, `${prefix}subnetwithin`];
  const selectors: string[] = [];
  for (const written of keywords.list(...names)) {
    const selector = selectorOf(written, protocolAndPort);
    if (selector !== undefined) selectors.push(selector);
    else for (const name of names) keywords.warn(name, `${name}: "${written}" is no subnet and is left out`);
  }
  return selectors.length > 0 ? selectors : [`dynamic${protocolAndPort}`];
}

function readProtocolAndPort(keywords: IpsecKeywords, prefix: string): string {
  const name = `${prefix}protoport`;
  const written = keywords.text(name);
  if (written === undefined) return '';
  const converted = protocolAndPortOf(written);
  if (converted === undefined) keywords.refuse(name, `${name} must be PROTOCOL or PROTOCOL/PORT, not "${written}"`);
  return converted ?? '';
}

function selectorOf(written: string, protocolAndPort: string): string | undefined {
  const match = /^([^[]+)(?:\[([^\]]*)\])?$/.exec(written);
  const subnet = match?.[1] ?? '';
  const own = match?.[2] === undefined ? protocolAndPort : protocolAndPortOf(match[2]);
  if (own === undefined) return undefined;
  if (subnet === '%dynamic') return `dynamic${own}`;
  return isSubnet(subnet) ? subnet + own : undefined;
}

/** `[tcp/80]`; the empty text when it says nothing. */
function protocolAndPortOf(written: string): string | undefined {
  const [protocol = '', port = '', ...more] = written.split('/');
  if (more.length > 0 || !PROTOCOL.test(protocol) || (port !== '' && !PORT.test(port))) return undefined;
  if ((protocol === '%any' || protocol === '') && (port === '' || port === '%any')) return '';
  const plain = (word: string): string => word.replace(/^%/, '');
  return `[${plain(protocol) || 'any'}${port === '' || port === '%any' ? '' : `/${plain(port)}`}]`;
}

function isSubnet(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || address.includes('%') || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
