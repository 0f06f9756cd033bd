import { isIP } from 'node:net';
import type { Place } from './import-error.ts';
import type { ImportedPool } from './imported.ts';
import type { IpsecKeywords } from './ipsec-keywords.ts';
import { addressesOf, type IpsecEnd } from './ipsec-side.ts';

const ANY_OF_BOTH = ['%config', '%cfg', '%modeconfig', '%modecfg'];

/** What a conn says about virtual addresses. */
export interface IpsecVirtualIps {
  /** To ask the peer for. */
  readonly virtualIps: readonly string[];
  /** Names of the pools to give from. */
  readonly pools: readonly string[];
  /** Those of the pools that the conn defines itself. */
  readonly definitions: readonly ImportedPool[];
}

/** `sourceip` and `dns` of both ends (strongSwan: `stroke_config.c` build_peer_cfg, `stroke_attribute.c`). */
export function readVirtualIps(
  keywords: IpsecKeywords,
  local: IpsecEnd,
  remote: IpsecEnd,
  place: Place,
): IpsecVirtualIps {
  const asked = keywords.list(`${local.prefix}sourceip`);
  const given = keywords.list(`${remote.prefix}sourceip`);
  keywords.warn(
    `${local.prefix}dns`,
    `${local.prefix}dns: charon asks for name servers when its resolve plugin is loaded`,
  );
  const attributes = { dns: keywords.list(`${remote.prefix}dns`) };
  if (asked.length > 0 && given.length > 0) {
    keywords.warn(
      `${local.prefix}sourceip`,
      'with addresses for the peer in the same conn strongSwan ignores this one',
    );
  }
  const pools = given.map((written) => poolOf(keywords, remote, written)).filter((pool) => pool !== undefined);
  const definitions = pools
    .filter(({ addresses }) => addresses !== undefined)
    .map(({ name, addresses = '' }) => ({ name, place, addresses, attributes }));
  if (attributes.dns.length > 0 && definitions.length === 0) {
    keywords.warn(
      `${remote.prefix}dns`,
      `${remote.prefix}dns: has no pool to go with; add it where the pool is defined`,
    );
  }
  return {
    virtualIps: given.length > 0 ? [] : asked.flatMap((written) => virtualIpOf(keywords, local, remote, written)),
    pools: pools.map(({ name }) => name),
    definitions,
  };
}

function virtualIpOf(keywords: IpsecKeywords, local: IpsecEnd, remote: IpsecEnd, written: string): readonly string[] {
  if (written === '%config4') return ['0.0.0.0'];
  if (written === '%config6') return ['::'];
  if (ANY_OF_BOTH.includes(written)) return [isIpv6(keywords, local, remote) ? '::' : '0.0.0.0'];
  if (isIP(written) !== 0) return [written];
  keywords.warn(`${local.prefix}sourceip`, `${local.prefix}sourceip: "${written}" is no address and is left out`);
  return [];
}

/** strongSwan guesses the family from the local subnets, else the remote ones, else the own address. */
function isIpv6(keywords: IpsecKeywords, local: IpsecEnd, remote: IpsecEnd): boolean {
  const subnets = keywords.text(`${local.prefix}subnet`) ?? keywords.text(`${remote.prefix}subnet`);
  if (subnets !== undefined) return !subnets.includes('.');
  return addressesOf(keywords, local.prefix)[0]?.includes(':') ?? false;
}

function poolOf(
  keywords: IpsecKeywords,
  { prefix }: IpsecEnd,
  written: string,
): { readonly name: string; readonly addresses?: string } | undefined {
  const name = `${prefix}sourceip`;
  if (ANY_OF_BOTH.includes(written) || written === '%config4' || written === '%config6') {
    keywords.warn(name, `${name}: a pool without addresses of its own does not exist in swanctl.conf; name a range`);
    return undefined;
  }
  // A pool that is defined elsewhere: in a database, by the dhcp plugin.
  if (written.startsWith('%')) return { name: written.slice(1) };
  if (!/^[0-9a-f.:]+(?:\/\d{1,3}|-[0-9a-f.:]+)?$/i.test(written)) {
    keywords.warn(name, `${name}: "${written}" is no range of addresses and is left out`);
    return undefined;
  }
  // Like in strongSwan, conns with the same range share one pool.
  return { name: `pool-${written.replaceAll(/[^0-9a-z]+/gi, '-')}`, addresses: written };
}
