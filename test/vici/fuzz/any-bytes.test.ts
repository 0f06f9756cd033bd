import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkEncoding, checkMessage, checkPacket, checkSection, checkSegments } from './invariants.ts';
import { mutated } from './mutate.ts';
import { randomInput, randomSection } from './random-message.ts';
import { Random } from './random.ts';
import { seedMessages, seedPackets, seedStreams } from './seeds.ts';

const RUNS = 100_000;
const SAVED = new URL('saved/', import.meta.url);

/** Runs the check on other random numbers each time; a failure names the seed that repeats it. */
function always(check: (random: Random) => void): void {
  fc.assert(
    fc.property(fc.integer(), (seed) => check(new Random(seed))),
    { numRuns: RUNS },
  );
}

/** Changed a little in most cases, and now and then anything. */
function bytesLike(seeds: readonly [Uint8Array, ...Uint8Array[]], random: Random): Uint8Array {
  return random.oneIn(10) ? random.bytes(random.below(60)) : mutated(random.pick(seeds), random.pick(seeds), random);
}

const cutsOf = (random: Random): readonly number[] => Array.from({ length: random.below(8) }, () => random.below(40));

describe(`any bytes, ${RUNS} times`, { timeout: 120_000 }, () => {
  it('are a message or malformed, as the reference reads them, and encode again to the same', () =>
    always((random) => checkMessage(bytesLike(seedMessages, random))));

  it('are a packet or malformed', () => always((random) => checkPacket(bytesLike(seedPackets, random))));

  it('are cut into the same segments wherever they are cut', () =>
    always((random) => checkSegments(bytesLike(seedStreams, random), cutsOf(random))));
});

describe(`any value, ${RUNS} times`, { timeout: 120_000 }, () => {
  it('comes back as it was encoded', () => always((random) => checkSection(randomSection(random))));

  it('is encoded or refused, whatever JavaScript allows in it', () =>
    always((random) => checkEncoding(randomInput(random))));
});

describe('an input that is kept from before', () => {
  it.each(readdirSync(SAVED))('%s still holds what must hold', (file) => {
    const bytes = Buffer.from(readFileSync(new URL(file, SAVED), 'utf8').trim(), 'hex');
    expect(() => checkMessage(bytes)).not.toThrow();
    expect(() => checkPacket(bytes)).not.toThrow();
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      expect(() => checkMessage(bytes.subarray(0, cut)), `the first ${cut} bytes`).not.toThrow();
      expect(() => checkSegments(bytes, [cut]), `cut at ${cut}`).not.toThrow();
    }
  });
});
