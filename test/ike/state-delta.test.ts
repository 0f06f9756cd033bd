import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeltaError, diffStates, patchState } from '../../src/ike/state-delta.ts';
import { canonicalJson } from '../../src/json.ts';
import { compiled, SEED_SPEC, stateOf } from '../coordinator/spec-builders.ts';

const keys = fc.oneof(fc.constantFrom('a', 'b', 'name', 'id', '__proto__', 'constructor'), fc.string({ maxLength: 4 }));

/** JSON with lists of named objects in it, in order and not. */
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, 0, 1.5, 'text', ''),
    fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .tuple(fc.constantFrom('name', 'id'), fc.dictionary(keys, tie('value'), { maxKeys: 4 }), fc.boolean())
      .map(([by, items, isSorted]) => {
        const list = Object.entries(items).map(([key, value]) => ({ [by]: key, value }));
        return isSorted ? list.sort((a, b) => (a[by]! < b[by]! ? -1 : 1)) : list;
      }),
  ),
})).value;

describe('a delta', () => {
  it('makes the one value out of the other', () =>
    fc.assert(
      fc.property(values, values, (before, after) => {
        const [from, to] = [{ state: before }, { state: after }];
        const untouched = canonicalJson(from);
        expect(canonicalJson(patchState(from, diffStates(from, to)))).toBe(canonicalJson(to));
        expect(canonicalJson(from)).toBe(untouched);
      }),
      { numRuns: 500 },
    ));

  it('between equal values is small and changes nothing', () => {
    const state = stateOf(compiled(SEED_SPEC), 'edge1');
    expect(diffStates(state, structuredClone(state))).toBe('{"fields":[]}');
    expect(patchState(state, '{"fields":[]}')).toEqual(state);
  });

  it('says only what is new: one child among many', () => {
    const spec = (count: number): string =>
      `${SEED_SPEC.replace('links:', `${nodes(count)}\nlinks:`)}${Array.from({ length: count }, (_, index) => `  - [edge1, n${index}]\n`).join('')}`;
    const nodes = (count: number): string =>
      Array.from({ length: count }, (_, index) => `  n${index}: { subnets: [10.9.${index}.0/24] }`).join('\n');
    const [before, after] = [20, 21].map((count) => stateOf(compiled(spec(count)), 'edge1'));
    const delta = diffStates({ ...before }, { ...after });
    expect(patchState(before, delta)).toEqual(after);
    expect(delta.length).toBeLessThan(canonicalJson(after).length / 8);
  });

  it('that is none, or fits nothing, is refused and not choked on', () => {
    const deep = `${'{"fields":[["a",'.repeat(9)}{"set":1}${']]}'.repeat(9)}`;
    for (const delta of ['', 'x', '[]', '{"set":1,"more":2}', '{"by":"x","items":[]}', '['.repeat(500_000), deep]) {
      expect(() => patchState({}, delta), delta.slice(0, 40)).toThrow(DeltaError);
    }
    expect(() => patchState([], '{"fields":[]}')).toThrow(DeltaError);
    expect(() => patchState([{ name: 'b' }, { name: 'a' }], '{"by":"name","items":[]}')).toThrow(DeltaError);
    expect(() => patchState({}, '{"fields":[["a",{"fields":[]}]]}')).toThrow(DeltaError);
  });

  it('of any text ends in a value or a DeltaError', () =>
    fc.assert(
      fc.property(values, fc.json(), (before, delta) => {
        try {
          patchState(before, delta);
        } catch (error) {
          expect(error).toBeInstanceOf(DeltaError);
        }
      }),
    ));
});
