import {
  isSection,
  type ViciInput,
  type ViciItem,
  type ViciSection,
  type ViciValue,
} from '../../../src/vici/message.ts';
import type { Random } from './random.ts';

const NAMES: readonly [string, ...string[]] = ['', 'a', 'uniqueid', 'local-host', 'child-sas', 'local_ts', '__proto__'];
const TEXTS: readonly [string, ...string[]] = ['', 'yes', '192.0.2.1', 'ESTABLISHED', 'büro', '🦢', '\ufeffx', '\0'];
/** What nobody should pass, and JavaScript allows. */
const HOSTILE: readonly [unknown, ...unknown[]] = [
  null,
  Number.NaN,
  1.5,
  2 ** 53,
  1n,
  Symbol('s'),
  () => 1,
  new Date(0),
  new Set([1]),
  new Uint16Array(2),
  Promise.resolve(),
  [['nested']],
  [undefined],
  [{}],
  '\ud800',
  'x'.repeat(65_536),
  { büro: '' },
  { ['k'.repeat(256)]: '' },
  new Map<unknown, string>([[5, 'x']]),
];

/** A section as the decoder gives them: bytes only where they are no UTF-8. */
export function randomSection(random: Random, depth = 0): ViciSection {
  const count = random.below(depth === 0 ? 8 : 4);
  return new Map(Array.from({ length: count }, () => [randomName(random), randomValue(random, depth)]));
}

/** Anything, of which only some can be sent. */
export function randomInput(random: Random, depth = 0): unknown {
  if (random.oneIn(12)) return random.pick(HOSTILE);
  if (depth > 3 || random.oneIn(3))
    return random.pick<unknown>(['x', 7, -1, true, false, undefined, Uint8Array.of(0xff)]);
  const entries = Array.from({ length: random.below(5) }, (): [string, unknown] => [
    randomName(random),
    random.oneIn(4) ? [randomItem(random), randomItem(random)] : randomInput(random, depth + 1),
  ]);
  return random.oneIn(2) ? new Map(entries) : Object.fromEntries(entries);
}

/** The same section as plain objects, except where those would put the names in another order. */
export function asPlainObjects(section: ViciSection): ViciInput {
  const entries = [...section].map(
    ([name, value]) => [name, isSection(value) ? asPlainObjects(value) : value] as const,
  );
  return entries.some(([name]) => /^\d+$/.test(name)) ? new Map(entries) : Object.fromEntries(entries);
}

function randomName(random: Random): string {
  if (random.oneIn(2)) return random.pick(NAMES);
  return String.fromCharCode(
    ...Array.from({ length: random.below(random.oneIn(9) ? 256 : 40) }, () => 0x20 + random.below(95)),
  );
}

function randomValue(random: Random, depth: number): ViciValue {
  const kind = random.below(depth > 4 ? 3 : 4);
  if (kind === 3) return randomSection(random, depth + 1);
  return kind === 2 ? Array.from({ length: random.below(4) }, () => randomItem(random)) : randomItem(random);
}

function randomItem(random: Random): ViciItem {
  if (random.oneIn(6)) return Uint8Array.of(0xff, ...random.bytes(random.below(40)));
  if (random.oneIn(40)) return 'y'.repeat(random.below(6000));
  return random.pick(TEXTS) + 'z'.repeat(random.below(random.oneIn(5) ? 80 : 8));
}
