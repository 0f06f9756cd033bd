import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  freezeVerdict,
  FROZEN_AFTER_MS,
  FROZEN_QUESTIONS_MIN,
  nextSilence,
  QUESTION_GAP_MAX_MS,
  RESTART_PAUSE_MS,
  type CharonRestart,
  type CharonSign,
  type FreezeVerdict,
  type Silence,
} from '../../src/agent/charon-freeze.ts';

/** A charon's deadline of 10 s, and the wait before the next session. */
const STEP_MS = 11_000;
const unanswered = (process = 'first'): CharonSign => ({ type: 'unanswered', process });

/** What is thought of charon after signs that come one after the other, from a start long after the boot. */
function verdictAfter(
  signs: readonly CharonSign[],
  { mayRestart = true, lastRestart, stepMs = STEP_MS }: Partial<Facts> = {},
): FreezeVerdict {
  let silence: Silence | undefined;
  for (const [index, sign] of signs.entries()) silence = nextSilence(silence, sign, START_MS + index * stepMs);
  return freezeVerdict(silence, { mayRestart, lastRestart });
}
interface Facts {
  readonly mayRestart: boolean;
  readonly lastRestart: CharonRestart | undefined;
  readonly stepMs: number;
}
const START_MS = 10 * RESTART_PAUSE_MS;
const minute = Array.from({ length: 7 }, () => unanswered());

describe('a charon', () => {
  it('is frozen when it has answered nothing for a minute', () => {
    expect(verdictAfter(minute)).toBe('restart');
    expect(verdictAfter(minute, { mayRestart: false })).toBe('forbidden');
  });

  it.each<[string, readonly CharonSign[], Partial<Facts>]>([
    ['for less than a minute', minute.slice(1), {}],
    ['to few questions', minute.slice(0, 3), { stepMs: QUESTION_GAP_MAX_MS }],
    ['to an agent that was held up itself', minute, { stepMs: QUESTION_GAP_MAX_MS + 1 }],
    ['and is another one by now', [...minute.slice(1), unanswered('second')], {}],
    ['but was gone meanwhile', [...minute.slice(0, 3), { type: 'gone' }, ...minute.slice(0, 4)], {}],
    ['but one question was, meanwhile', [...minute.slice(0, 3), { type: 'answered' }, ...minute.slice(0, 4)], {}],
  ])('that has not answered %s is not', (_what, signs, facts) => expect(verdictAfter(signs, facts)).toBe('silent'));

  it.each<[string, CharonSign]>([
    ['has answered', { type: 'answered' }],
    ['is not there', { type: 'gone' }],
  ])('that %s is left alone, whatever was before', (_what, sign) =>
    expect(verdictAfter([...minute, sign])).toBe('answers'),
  );
});

describe('a restart', () => {
  const endMs = START_MS + 6 * STEP_MS;
  const at = (bootMs: number, process = 'first'): Partial<Facts> => ({ lastRestart: { bootMs, process } });

  it('is waited for while the same process is there', () =>
    expect(verdictAfter(minute, at(endMs - 1))).toBe('restarting'));
  it('does not follow another one within the pause', () =>
    expect(verdictAfter(minute, at(endMs - RESTART_PAUSE_MS + 1, 'before'))).toBe('again'));
  it('may follow after the pause', () => expect(verdictAfter(minute, at(endMs - RESTART_PAUSE_MS))).toBe('restart'));
  it('of before the last boot of the machine does not count', () =>
    expect(verdictAfter(minute, at(endMs + 1))).toBe('restart'));
});

it('never comes twice within the pause, nor without a minute of silence of one process, whatever happens', () => {
  const sign = fc.oneof(
    { weight: 12, arbitrary: fc.constant(unanswered('first')) },
    { weight: 1, arbitrary: fc.constant(unanswered('second')) },
    { weight: 1, arbitrary: fc.constantFrom<CharonSign>({ type: 'answered' }, { type: 'gone' }) },
  );
  const history = fc.array(fc.tuple(sign, fc.integer({ min: 0, max: QUESTION_GAP_MAX_MS + 2000 })), { maxLength: 200 });
  let restarts = 0;
  fc.assert(
    fc.property(history, (happenings) => {
      let nowMs = START_MS;
      let silence: Silence | undefined;
      let lastRestart: CharonRestart | undefined;
      const since: { sign: CharonSign; atMs: number }[] = [];
      for (const [next, afterMs] of happenings) {
        nowMs += afterMs;
        since.push({ sign: next, atMs: nowMs });
        silence = nextSilence(silence, next, nowMs);
        if (freezeVerdict(silence, { mayRestart: true, lastRestart }) !== 'restart') continue;
        restarts += 1;
        expect(nowMs - (lastRestart?.bootMs ?? -Infinity)).toBeGreaterThanOrEqual(RESTART_PAUSE_MS);
        const process = next.type === 'unanswered' ? next.process : '';
        const isOther = ({ sign: each }: { sign: CharonSign }): boolean =>
          each.type !== 'unanswered' || each.process !== process;
        const unbroken = since.slice(since.findLastIndex(isOther) + 1);
        expect(unbroken.length).toBeGreaterThanOrEqual(FROZEN_QUESTIONS_MIN);
        expect(nowMs - (unbroken[0]?.atMs ?? nowMs)).toBeGreaterThanOrEqual(FROZEN_AFTER_MS);
        lastRestart = { bootMs: nowMs, process };
      }
    }),
    { numRuns: 500 },
  );
  expect(restarts).toBeGreaterThan(0);
});
