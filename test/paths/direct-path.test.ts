import { describe, expect, it } from 'vitest';
import {
  abandonedAt,
  changesAtMs,
  NEW_DIRECT_PATH,
  nextDirectPath,
  type DirectPath,
  type DirectPathEvent,
} from '../../src/paths/direct-path.ts';
import { PATH_CAUSES, type PathCause } from '../../src/paths/path-cause.ts';

const PATIENCE_MS = 6000;

const NOW_MS = 1_000_000;
const none: DirectPathEvent = { type: 'observed', sa: 'none' };
const pending: DirectPathEvent = { type: 'observed', sa: 'pending' };
const initiated: DirectPathEvent = { type: 'initiated' };
const proven: DirectPathEvent = { type: 'proven' };
const networkChanged: DirectPathEvent = { type: 'network-changed' };
const up = (...ikeSaIds: readonly number[]): DirectPathEvent => ({ type: 'observed', sa: 'up', ikeSaIds });
const silent = (...ikeSaIds: readonly number[]): DirectPathEvent => ({ type: 'silent', ikeSaIds });
const reconnect = (...ikeSaIds: readonly number[]): DirectPathEvent => ({ type: 'reconnect', ikeSaIds });

const next = (path: DirectPath, event: DirectPathEvent, cause?: PathCause, random = 1): DirectPath =>
  nextDirectPath(path, event, { nowMs: NOW_MS, random: () => random, patienceMs: PATIENCE_MS, cause });
const idle = (failures: number, lost = false): DirectPath => ({ phase: 'idle', failures, lost });
const trying = (forMs: number, failures = 0, lost = false): DirectPath => ({
  phase: 'trying',
  failures,
  lost,
  sinceMs: NOW_MS - forMs,
});
const resting = (leftMs: number, failures = 2, lost = false): DirectPath => ({
  phase: 'resting',
  failures,
  lost,
  untilMs: NOW_MS + leftMs,
});
const ending = (...ikeSaIds: readonly number[]): DirectPath => ({
  phase: 'ending',
  failures: 0,
  lost: true,
  ikeSaIds,
  abandonAtMs: NOW_MS,
});
const endingInVain = (failures: number): DirectPath => ({
  phase: 'ending',
  failures,
  lost: false,
  ikeSaIds: [1],
  abandonAtMs: NOW_MS,
});
/** Its peer has this long to end it. */
const reconnecting = (leftMs: number, ...ikeSaIds: readonly number[]): DirectPath => ({
  phase: 'ending',
  failures: 0,
  lost: true,
  ikeSaIds,
  abandonAtMs: NOW_MS + leftMs,
});
const unproven = (failures = 0, lost = false): DirectPath => ({ phase: 'up', failures, lost, proven: false });
const isUp: DirectPath = { phase: 'up', failures: 0, lost: false, proven: true };
/** It rests for a moment only, and counts no failure. */
const lostJustNow = resting(1500, 0, true);

describe('a direct path', () => {
  it.each<[string, DirectPath, DirectPathEvent, DirectPath]>([
    ['idle is tried when initiated', NEW_DIRECT_PATH, initiated, trying(0)],
    ['idle waits while nothing is there', NEW_DIRECT_PATH, none, NEW_DIRECT_PATH],
    ['idle leaves alone what the peer began', NEW_DIRECT_PATH, pending, NEW_DIRECT_PATH],
    ['idle is up when the peer set it up', NEW_DIRECT_PATH, up(1), unproven()],
    ['tried waits for its SA to appear', trying(2999), none, trying(2999)],
    ['tried has failed without an SA', trying(3000), none, resting(4000, 1)],
    ['tried waits while its checks may work', trying(5999), pending, trying(5999)],
    ['tried has failed when its SA gets no CHILD SA', trying(6000, 1), pending, resting(160_000)],
    ['tried has failed as soon as charon is stuck', trying(100), { type: 'stuck' }, resting(4000, 1)],
    ['idle has failed when charon holds on to an earlier try', idle(1), { type: 'blocked' }, resting(8000)],
    ['idle that was lost has, too, and rests for less', idle(0, true), { type: 'blocked' }, resting(8000, 1, true)],
    ['resting waits for its time before it finds out', resting(5), { type: 'blocked' }, resting(5)],
    ['tried is not hindered by itself', trying(5), { type: 'blocked' }, trying(5)],
    ['up takes no notice of an old try that is stuck', isUp, { type: 'stuck' }, isUp],
    ['resting takes no notice of it either', resting(5), { type: 'stuck' }, resting(5)],
    ['tried is up, and its failures still count', trying(10_000, 5, true), up(1), unproven(5, true)],
    ['resting is not tried early', resting(1), none, resting(1)],
    ['resting is ready when its time has come', resting(0), none, idle(2)],
    ['resting is up when the peer set it up', resting(9999), up(1), unproven(2)],
    ['up stays so', isUp, up(1), isUp],
    ['up stays so with another SA', isUp, up(2), isUp],
    ['up is lost when its SA is gone', isUp, none, lostJustNow],
    ['up is lost when only its CHILD SA is gone', isUp, pending, lostJustNow],
    ['up is proven by what comes through, and its failures are forgotten', unproven(5, true), proven, isUp],
    ['up is proven once', isUp, proven, isUp],
    ['up stays unproven with another SA', unproven(5), up(2), unproven(5)],
    ['up that goes unproven is one more failure', unproven(2), none, resting(16_000, 3)],
  ])('%s', (_what, path, event, expected) => expect(next(path, event)).toEqual(expected));
});

describe('a direct path that goes silent', () => {
  it.each<[string, DirectPath, DirectPathEvent, DirectPath]>([
    ['ends', isUp, silent(1, 2), ending(1, 2)],
    ['has failed once more if nothing ever came through', unproven(2), silent(1), endingInVain(3)],
    ['has failed also if another SA had worked before', unproven(0, true), silent(1), endingInVain(1)],
    ['goes on ending whatever comes through it', ending(1, 2), proven, ending(1, 2)],
    ['rests like any try that failed if nothing ever came through', endingInVain(1), none, resting(80_000, 1)],
    ['rests longer each time', endingInVain(2), pending, resting(160_000, 2)],
    ['counts its failures also when another SA is up', endingInVain(2), up(3), unproven(2)],
    ['goes on ending while its SAs are there', ending(1, 2), up(1, 2), ending(1, 2)],
    ['goes on ending while one of them is', ending(1, 2), up(2), ending(1, 2)],
    ['goes on ending whatever the probes say', ending(1, 2), silent(1), ending(1, 2)],
    ['goes on ending on another network', ending(1, 2), networkChanged, ending(1, 2)],
    ['rests for a moment when they are gone', ending(1, 2), none, lostJustNow],
    ['rests for a moment when their CHILD SA is', ending(1, 2), pending, lostJustNow],
    ['is up by another SA', ending(1, 2), up(3), unproven(0, true)],
    ['is up by another SA beside the old ones', ending(1, 2), up(1, 2, 3), unproven(0, true)],
  ])('%s', (_what, path, event, expected) => expect(next(path, event)).toEqual(expected));

  it.each([NEW_DIRECT_PATH, trying(10), resting(10), ending(1)])('is none that is not up: $phase', (path) =>
    expect(next(path, silent(9))).toEqual(path),
  );

  it('remembers through its rest and its tries that it has worked', () => {
    const again = nextDirectPath(lostJustNow, none, {
      nowMs: NOW_MS + 1500,
      random: () => 1,
      patienceMs: PATIENCE_MS,
      cause: undefined,
    });
    expect(again).toEqual(idle(0, true));
    expect(next(again, initiated)).toEqual(trying(0, 0, true));
    expect(next(trying(3000, 0, true), none)).toEqual(resting(8000, 1, true));
    expect(next(trying(10, 3, true), up(4))).toEqual(unproven(3, true));
  });

  it.each([NEW_DIRECT_PATH, trying(10), resting(10)])('is proven by nothing while it is not up: $phase', (path) =>
    expect(next(path, proven)).toBe(path),
  );

  it('does not flap: each time that it comes up and nothing comes through it rests longer', () => {
    const facts = { random: () => 1, patienceMs: PATIENCE_MS, cause: undefined };
    const rests: number[] = [];
    let path = NEW_DIRECT_PATH;
    let nowMs = NOW_MS;
    const take = (...events: readonly DirectPathEvent[]): void => {
      for (const event of events) path = nextDirectPath(path, event, { ...facts, nowMs });
    };
    for (let id = 1; id <= 5; id += 1) {
      take(initiated, up(id));
      nowMs += 5000;
      take(silent(id), none);
      rests.push(path.phase === 'resting' ? path.untilMs - nowMs : 0);
      nowMs += rests.at(-1)!;
      take(none);
    }
    expect(rests).toEqual([80_000, 160_000, 300_000, 300_000, 300_000]);
    take(initiated, up(6), proven, silent(6), none);
    expect(path, 'once it has worked the count begins anew').toMatchObject({ failures: 0, lost: true });
  });

  it('is like any other after eight tries in vain', () => {
    expect(next(trying(6000, 6, true), pending)).toMatchObject({ failures: 7, lost: true });
    expect(next(trying(6000, 7, true), pending)).toEqual(resting(300_000, 8, false));
  });
});

describe('a direct path that is given up on command', () => {
  it.each<[string, DirectPath, DirectPathEvent, DirectPath]>([
    ['ends, with two seconds for the peer', isUp, reconnect(1, 2), reconnecting(2000, 1, 2)],
    [
      'ends as one that was lost, also if nothing has come through yet',
      unproven(5),
      reconnect(1),
      reconnecting(2000, 1),
    ],
    ['has its time only once', reconnecting(500, 1), reconnect(1), reconnecting(500, 1)],
    ['goes on ending while its SA is there', reconnecting(500, 1), up(1), reconnecting(500, 1)],
    ['goes on ending when its time is over', reconnecting(0, 1), up(1), reconnecting(0, 1)],
    ['rests for a moment when the peer has ended it', reconnecting(500, 1), none, lostJustNow],
    ['is up by another SA', reconnecting(500, 1), up(1, 2), unproven(0, true)],
  ])('%s', (_what, path, event, expected) => expect(next(path, event)).toEqual(expected));

  it.each([NEW_DIRECT_PATH, trying(10), resting(10), ending(1)])('is none that is not up: $phase', (path) =>
    expect(next(path, reconnect(9))).toBe(path),
  );

  it('is abandoned by this end when the peer’s time is over, one that is silent at once, and no other', () => {
    expect(abandonedAt(reconnecting(1, 1, 2), NOW_MS)).toEqual([]);
    expect(abandonedAt(reconnecting(0, 1, 2), NOW_MS)).toEqual([1, 2]);
    expect(abandonedAt(next(isUp, silent(3)), NOW_MS)).toEqual([3]);
    for (const path of [NEW_DIRECT_PATH, trying(10), resting(10), isUp])
      expect(abandonedAt(path, Infinity)).toEqual([]);
  });
});

describe('another network', () => {
  it('is worth a try at once, and begins the count anew', () => {
    expect(next(resting(300_000, 9), networkChanged)).toEqual(idle(0));
    expect(next(resting(20_000, 3, true), networkChanged)).toEqual(idle(0, true));
  });

  it.each([idle(3), trying(2000, 3), isUp])('changes nothing of a path that does not rest: $phase', (path) =>
    expect(next(path, networkChanged)).toBe(path),
  );
});

describe('the rest after a try', () => {
  type Rest = readonly [first: number, second: number, longest: number];
  const restOf = (path: DirectPath): number => (path.phase === 'resting' ? path.untilMs - NOW_MS : 0);
  const restsOf = (seen: DirectPathEvent, cause: PathCause | undefined, lost = false): number[] =>
    [0, 1, 39].map((failures) => restOf(next(trying(6000, failures, lost), seen, cause)));

  const afterNone: Rest = [4000, 8000, 300_000];
  const afterPending: Rest = [80_000, 160_000, 300_000];
  const refused: Rest = [60_000, 120_000, 600_000];
  const hopeless: Rest = [1_200_000, 2_400_000, 3_600_000];
  const rests: Readonly<Record<PathCause | 'unknown', { readonly none: Rest; readonly pending: Rest }>> = {
    unknown: { none: afterNone, pending: afterPending },
    'peer-offline': { none: afterNone, pending: afterPending },
    'mediator-unreachable': { none: afterNone, pending: afterPending },
    'udp-blocked': { none: afterNone, pending: afterPending },
    'stuck-in-charon': { none: afterNone, pending: afterPending },
    'path-silent': { none: afterNone, pending: afterPending },
    'symmetric-nat': { none: hopeless, pending: hopeless },
    'auth-failed': { none: refused, pending: refused },
    'no-proposal': { none: refused, pending: refused },
    'ts-unacceptable': { none: refused, pending: refused },
    'peer-refused': { none: refused, pending: refused },
  };

  it.each(Object.entries(rests))('that failed by %s grows with every failure, up to a limit', (name, expected) => {
    const cause = PATH_CAUSES.find((each) => each === name);
    expect(restsOf(none, cause)).toEqual(expected.none);
    expect(restsOf(pending, cause)).toEqual(expected.pending);
  });

  it.each([undefined, 'udp-blocked', 'symmetric-nat', 'path-silent'] as const)(
    'is short when the path has worked before, whatever its NATs are said to be: %s',
    (cause) => {
      const short = [0, 1, 6].map((failures) => restOf(next(trying(6000, failures, true), pending, cause)));
      expect(short).toEqual([8000, 16_000, 30_000]);
    },
  );

  it.each(['auth-failed', 'no-proposal', 'ts-unacceptable', 'peer-refused'] as const)(
    'is not short when the other end says no, also to a path that has worked before: %s',
    (cause) => expect(restOf(next(trying(6000, 0, true), pending, cause))).toBe(60_000),
  );

  it.each(PATH_CAUSES)('is at least half of that, by chance: %s', (cause) => {
    for (const seen of [none, pending]) {
      expect(restOf(next(trying(6000), seen, cause, 0)) * 2).toBe(restOf(next(trying(6000), seen, cause, 1)));
    }
  });

  it('after checks is never less than the 40 s that a NAT router needs to forget them, in a path that is new', () =>
    expect(restOf(next(trying(6000), pending, undefined, 0))).toBe(40_000));
});

describe('time alone', () => {
  it('changes a rest when it is over, and a try when it has failed', () => {
    const facts = { nowMs: NOW_MS, patienceMs: PATIENCE_MS };
    expect(changesAtMs(resting(5000), facts)).toBe(NOW_MS + 5000);
    expect(changesAtMs(trying(1000), facts)).toBe(NOW_MS + 5000);
  });

  it('has the end of a path done here when the peer has not done it', () =>
    expect(changesAtMs(reconnecting(1, 1), { nowMs: NOW_MS, patienceMs: PATIENCE_MS })).toBe(NOW_MS + 1));

  it.each([NEW_DIRECT_PATH, isUp, unproven(2), ending(1)])('never changes a path that is $phase', (path) =>
    expect(changesAtMs(path, { nowMs: NOW_MS, patienceMs: PATIENCE_MS })).toBeUndefined(),
  );
});
