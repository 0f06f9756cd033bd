import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NEW_DIRECT_PATH, nextDirectPath, type DirectPath, type DirectPathEvent } from '../../src/paths/direct-path.ts';

const NOW_MS = 1_000_000;
const none: DirectPathEvent = { type: 'observed', sa: 'none' };
const pending: DirectPathEvent = { type: 'observed', sa: 'pending' };
const up: DirectPathEvent = { type: 'observed', sa: 'up' };
const initiated: DirectPathEvent = { type: 'initiated' };

const next = (path: DirectPath, event: DirectPathEvent, nowMs = NOW_MS): DirectPath =>
  nextDirectPath(path, event, { nowMs, random: () => 1 });
const trying = (forMs: number, failures = 0): DirectPath => ({ phase: 'trying', failures, sinceMs: NOW_MS - forMs });
const resting = (leftMs: number): DirectPath => ({ phase: 'resting', failures: 2, untilMs: NOW_MS + leftMs });
const isUp: DirectPath = { phase: 'up', failures: 0 };

describe('a direct path', () => {
  it.each<[string, DirectPath, DirectPathEvent, DirectPath]>([
    ['idle is tried when initiated', NEW_DIRECT_PATH, initiated, trying(0)],
    ['idle waits while nothing is there', NEW_DIRECT_PATH, none, NEW_DIRECT_PATH],
    ['idle leaves alone what the peer began', NEW_DIRECT_PATH, pending, NEW_DIRECT_PATH],
    ['idle is up when the peer set it up', NEW_DIRECT_PATH, up, isUp],
    ['tried waits for its SA to appear', trying(2999), none, trying(2999)],
    ['tried has failed without an SA', trying(3000), none, { phase: 'resting', failures: 1, untilMs: NOW_MS + 4000 }],
    ['tried waits while its checks may work', trying(5999), pending, trying(5999)],
    ['tried has failed when its SA gets no CHILD SA', trying(6000, 1), pending, resting(160_000)],
    ['tried is up, and its failures are forgotten', trying(10_000, 5), up, isUp],
    ['resting is not tried early', resting(1), none, resting(1)],
    ['resting is ready when its time has come', resting(0), none, { phase: 'idle', failures: 2 }],
    ['resting is up when the peer set it up', resting(9999), up, isUp],
    ['up stays so', isUp, up, isUp],
    ['up begins anew when its SA is gone', isUp, none, NEW_DIRECT_PATH],
    ['up begins anew when only its CHILD SA is gone', isUp, pending, NEW_DIRECT_PATH],
  ])('%s', (_what, path, event, expected) => expect(next(path, event)).toEqual(expected));

  it.each([
    ['that ended early', none, [4000, 8000, 16_000]],
    ['whose checks came to nothing', pending, [80_000, 160_000, 300_000]],
  ])('rests longer after every try %s, up to five minutes', (_what, seen, expected) => {
    const rests = Array.from({ length: 12 }, (_, failures) => {
      const path = next(trying(6000, failures), seen);
      return path.phase === 'resting' ? path.untilMs - NOW_MS : 0;
    });
    expect(rests.slice(0, 3)).toEqual(expected);
    expect(rests.at(-1)).toBe(300_000);
  });

  const events = fc.array(fc.tuple(fc.constantFrom(none, pending, up, initiated), fc.nat({ max: 400_000 })));

  it('is up exactly when its CHILD SA was seen last, whatever came before', () =>
    fc.assert(
      fc.property(events, fc.constantFrom(none, pending, up), (history, last) => {
        let nowMs = 0;
        let path = NEW_DIRECT_PATH;
        for (const [event, afterMs] of history) path = next(path, event, (nowMs += afterMs));
        expect(next(path, last, nowMs).phase === 'up').toBe(last === up);
      }),
    ));

  it('is never stuck: without an SA it can be tried again within five minutes and a bit', () =>
    fc.assert(
      fc.property(events, (history) => {
        let nowMs = 0;
        let path = NEW_DIRECT_PATH;
        for (const [event, afterMs] of history) path = next(path, event, (nowMs += afterMs));
        path = next(path, none, nowMs + 3000);
        path = next(path, none, nowMs + 3000 + 300_000);
        expect(path.phase).toBe('idle');
      }),
    ));

  it.each([
    ['two seconds after any failure', none, 2000],
    ['forty after checks, which a NAT router needs to forget them', pending, 40_000],
  ])('always rests at least %s', (_what, seen, leastMs) =>
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(40), (random, failures) => {
        const path = nextDirectPath(trying(6000, failures), seen, { nowMs: NOW_MS, random: () => random });
        expect(path).toMatchObject({ phase: 'resting', failures: failures + 1 });
        if (path.phase === 'resting') expect(path.untilMs - NOW_MS).toBeGreaterThanOrEqual(leastMs);
      }),
    ),
  );
});
