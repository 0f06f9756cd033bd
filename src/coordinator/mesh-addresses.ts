import ipaddr from 'ipaddr.js';
import type { NodeName } from '../ike/connection.ts';
import type { MeshSpec } from './mesh-spec.ts';

/**
 * Every node has a pair of addresses in the mesh's range: the even one is its mesh address, in the selectors of all its
 * tunnels; the odd one is in the relay's selectors only, so that the relay can be probed while the direct tunnel carries
 * everything else.
 */
export const ADDRESSES_PER_NODE = 2;

/** The first and the last pair stay free: they hold the network's own address and its broadcast address. */
const PAIRS_KEPT_FREE = 2;

/** How many nodes a range has room for. */
export function roomIn(range: string): number {
  const [, prefix] = ipaddr.IPv4.parseCIDR(range);
  return Math.max(0, 2 ** (32 - prefix) / ADDRESSES_PER_NODE - PAIRS_KEPT_FREE);
}

/**
 * The mesh address of every node of a checked spec: the one that it says, else the one that the node has had before, else
 * the lowest that nobody has or had. Empty when the spec wants none. `known` holds what nodes have had, also those that
 * are no longer in the spec: a node that comes back finds its address again.
 */
export function allocateMeshAddresses(
  spec: MeshSpec,
  known: ReadonlyMap<NodeName, string>,
): ReadonlyMap<NodeName, string> {
  const range = spec.meshRange;
  if (range === 'off') return new Map();
  const fixed = new Map(
    [...spec.nodes].flatMap(([name, { meshAddress }]) =>
      meshAddress === undefined ? [] : [[name, numberOf(meshAddress)]],
    ),
  );
  const taken = new Set(fixed.values());
  const had = new Map<NodeName, number>();
  const present = [...known].filter(([name]) => spec.nodes.has(name));
  for (const [name, address] of present) {
    const number = numberOf(address);
    // Two may have had the same one, after each other: whoever comes first keeps it.
    if (fixed.has(name) || !isPairIn(range, address) || taken.has(number)) continue;
    had.set(name, number);
    taken.add(number);
  }
  const absent = [...known].filter(([name]) => !spec.nodes.has(name)).map(([, address]) => numberOf(address));
  const free = freePairs(range, taken, new Set(absent));
  return new Map(
    [...spec.nodes.keys()].map((name) => {
      const number = fixed.get(name) ?? had.get(name) ?? free.next().value;
      if (number === undefined) throw new TypeError(`a checked spec has room for all its nodes in ${range}`);
      return [name, textOf(number)];
    }),
  );
}

/** Whether it is the even address of a pair of the range that nodes may have. */
export function isPairIn(range: string, address: string): boolean {
  const number = numberOf(address);
  const { first, end } = boundsOf(range);
  return number % ADDRESSES_PER_NODE === 0 && number >= first && number < end;
}

/** The address that only the relay leads to. */
export function relayAddressOf(meshAddress: string): string {
  return textOf(numberOf(meshAddress) + 1);
}

/** What nobody has, lowest first; and only when that is used up, what nodes had that are gone. */
function* freePairs(
  range: string,
  taken: ReadonlySet<number>,
  reserved: ReadonlySet<number>,
): Generator<number, undefined> {
  const { first, end } = boundsOf(range);
  for (const isReserved of [false, true]) {
    for (let number = first; number < end; number += ADDRESSES_PER_NODE) {
      if (!taken.has(number) && reserved.has(number) === isReserved) yield number;
    }
  }
}

function boundsOf(range: string): { readonly first: number; readonly end: number } {
  const [network, prefix] = ipaddr.IPv4.parseCIDR(range);
  const start = numberOf(network.toString());
  return { first: start + ADDRESSES_PER_NODE, end: start + 2 ** (32 - prefix) - ADDRESSES_PER_NODE };
}

function numberOf(address: string): number {
  return ipaddr.IPv4.parse(address)
    .toByteArray()
    .reduce((number, byte) => number * 256 + byte, 0);
}

function textOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}
