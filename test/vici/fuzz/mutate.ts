import type { Random } from './random.ts';

/** Bytes that mean something: elements, packet types, lengths at their limits, the borders of ASCII and UTF-8. */
const DICTIONARY: readonly [readonly number[], ...(readonly number[])[]] = [
  [1],
  [2],
  [3],
  [4],
  [5],
  [6],
  [7],
  [0],
  [0xff],
  [0x7f],
  [0x80],
  [0, 0],
  [0, 1],
  [0xff, 0xff],
  [1, 0],
  [1, 1, 0x61],
  [3, 1, 0x61, 0, 1, 0x62],
  [3, 0, 0, 0],
  [4, 1, 0x61, 5, 0, 0, 6],
  [4, 1, 0x61, 6],
  [0xc3, 0xa9],
  [0xed, 0xa0, 0x80],
  [0xef, 0xbb, 0xbf],
  [0, 8, 0, 0],
  [0, 8, 0, 1],
  [0xff, 0xff, 0xff, 0xff],
];

/** Room for what grows under repeated insertion. */
const LENGTH_MAX = 8192;

type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const MUTATIONS: readonly [Mutation, ...Mutation[]] = [flipBit, setByte, addToByte, insert, remove, repeat, truncate];

/** Other bytes by one to four small changes, or a part of `other` between two parts of these. */
export function mutated(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  if (random.oneIn(8)) return spliced(bytes, other, random);
  let result = bytes;
  for (let left = 1 + random.below(4); left > 0; left -= 1) result = random.pick(MUTATIONS)(result, random);
  return result.slice(0, LENGTH_MAX);
}

function flipBit(bytes: Uint8Array, random: Random): Uint8Array {
  return withByte(bytes, random, (byte) => byte ^ (1 << random.below(8)));
}

function setByte(bytes: Uint8Array, random: Random): Uint8Array {
  return withByte(bytes, random, () => random.pick(DICTIONARY)[0] ?? 0);
}

/** Lengths that are a little wrong. */
function addToByte(bytes: Uint8Array, random: Random): Uint8Array {
  return withByte(bytes, random, (byte) => byte + random.below(9) - 4);
}

function withByte(bytes: Uint8Array, random: Random, change: (byte: number) => number): Uint8Array {
  const result = new Uint8Array(bytes);
  const at = random.below(bytes.length + 1);
  if (at < bytes.length) result[at] = change(bytes[at] ?? 0);
  return result;
}

function insert(bytes: Uint8Array, random: Random): Uint8Array {
  const inserted = random.oneIn(4) ? random.bytes(random.below(6)) : random.pick(DICTIONARY);
  const at = random.below(bytes.length + 1);
  return joined(bytes.subarray(0, at), inserted, bytes.subarray(at));
}

function remove(bytes: Uint8Array, random: Random): Uint8Array {
  const [start, end] = range(bytes, random);
  return joined(bytes.subarray(0, start), bytes.subarray(end));
}

function repeat(bytes: Uint8Array, random: Random): Uint8Array {
  const [start, end] = range(bytes, random);
  const part = bytes.subarray(start, end);
  const copies = Array.from({ length: 1 + random.below(3) }, () => part);
  return joined(bytes.subarray(0, end), ...copies, bytes.subarray(end));
}

function truncate(bytes: Uint8Array, random: Random): Uint8Array {
  return bytes.slice(0, random.below(bytes.length + 1));
}

function spliced(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const [start, end] = range(bytes, random);
  return joined(bytes.subarray(0, start), other.subarray(...range(other, random)), bytes.subarray(end));
}

function range(bytes: Uint8Array, random: Random): readonly [start: number, end: number] {
  const start = random.below(bytes.length + 1);
  return [start, start + random.below(Math.min(40, bytes.length - start) + 1)];
}

function joined(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
