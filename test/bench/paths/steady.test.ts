import { expect, it } from 'vitest';
import { untilSteady, type Steady } from './steady.ts';

/** One look in 3 s, each of which takes a second; all has to be right for 10 s, and is given up after a minute. */
async function looks(isRightAt: (ms: number) => boolean): Promise<Steady<number>> {
  let nowMs = 0;
  return untilSteady({
    look: () => Promise.resolve((nowMs += 1000)),
    isRight: isRightAt,
    nowMs: () => nowMs,
    pause: (ms) => Promise.resolve(void (nowMs += ms)),
    everyMs: 3000,
    steadyMs: 10_000,
    limitMs: 60_000,
  });
}

it('what is right at once is looked at until it has been so for long enough', async () =>
  expect(await looks(() => true)).toEqual({ seen: 13_000, rightAfterMs: 1000, relapses: 0 }));

it('time counts from the first look after which none found anything wrong', async () => {
  expect(await looks((ms) => ms >= 9000)).toEqual({ seen: 21_000, rightAfterMs: 9000, relapses: 0 });
  expect(await looks((ms) => ms !== 5000 && ms !== 17_000)).toEqual({
    seen: 33_000,
    rightAfterMs: 21_000,
    relapses: 2,
  });
});

it('what is not right in time is given up, with the last look', async () => {
  expect(await looks(() => false)).toEqual({ seen: 61_000, rightAfterMs: undefined, relapses: 0 });
  expect(await looks((ms) => ms < 60_000 && ms % 8000 !== 1000)).toMatchObject({ rightAfterMs: undefined });
});

it('what was right too late to be steady is given up as well', async () =>
  expect(await looks((ms) => ms >= 55_000)).toEqual({ seen: 61_000, rightAfterMs: undefined, relapses: 0 }));
