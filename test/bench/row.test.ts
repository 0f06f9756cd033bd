import { describe, expect, it } from 'vitest';
import { comparison, interleaved, limit, median } from './row.ts';

const medians = (ours: number, other: number) => ({ runs: 3, ours, other });

describe('a row that compares', () => {
  it('reaches a ratio that is a bound', () =>
    expect(comparison('work', medians(1, 4), { atMost: 0.25 })).toEqual({
      name: 'work',
      unit: 'ms',
      runs: 3,
      ours: 1,
      other: 4,
      ratio: 0.25,
      goal: '<= 0.25',
      ok: true,
    }));

  it('does not reach one that it must stay below', () =>
    expect(comparison('work', medians(4, 4), { below: 1 })).toMatchObject({ ratio: 1, goal: '< 1', ok: false }));

  it('is judged by the ratio itself, not by what is shown of it', () =>
    expect(comparison('work', medians(1.15001, 1), { atMost: 1.15 })).toMatchObject({ ratio: 1.15, ok: false }));
});

describe('a row with a limit', () => {
  it('counts the worst measurement', () =>
    expect(limit('memory', 'MB', [3, 21, 4], 20)).toMatchObject({ ours: 21, goal: '<= 20 MB', runs: 3, ok: false }));

  it('may be at the limit', () => expect(limit('lost', 'SAs', [0], 0)).toMatchObject({ ours: 0, ok: true }));

  it('is not reached by what was not measured', () => expect(limit('memory', 'MB', [Number.NaN], 20).ok).toBe(false));
});

it.each([
  [[3, 1, 2], 2],
  [[10, 9], 10],
  [[7], 7],
])('the median of %j is %d', (values, middle) => expect(median(values)).toBe(middle));

it('lets contenders run in turns', async () => {
  const order: string[] = [];
  const contender = (name: string, ms: number) => async () => {
    order.push(name);
    return ms;
  };
  const medians = await interleaved(2, { ours: contender('ours', 5), other: contender('other', 6) });
  expect(order).toEqual(['ours', 'other', 'ours', 'other']);
  expect(medians).toEqual({ runs: 2, ours: 5, other: 6 });
});
