import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  answeredSentAtMs,
  comparedSinceMs,
  healthOf,
  isIdle,
  isOutdone,
  isWorthAsking,
  isWorthAskingBack,
  lateBy,
  lossOf,
  lostSince,
  newProbe,
  nextProbe,
  overdueFor,
  silentMs,
  type PathProbe,
  type PathUse,
  type ProbeEvent,
} from '../../src/paths/path-probe.ts';
import { SimulatedLink } from './simulated-link.ts';
import { SimulatedPath } from './simulated-path.ts';

const BEGIN_MS = 1_000_000;
const facts =
  (use: PathUse, paths = 2, lateMs = 0) =>
  (nowMs: number) => ({ nowMs, use, paths, lateMs });
const busy = facts('busy');
const spare = facts('spare');
const idle = facts('idle');

/** A probe whose first packet went out at BEGIN_MS, after these events, each so many ms after it. */
function after(...events: readonly (readonly [number, ProbeEvent])[]): PathProbe {
  const first = nextProbe(newProbe(BEGIN_MS), { type: 'time' }, busy(BEGIN_MS)).probe;
  return events.reduce((probe, [ms, event]) => nextProbe(probe, event, busy(BEGIN_MS + ms)).probe, first);
}

const time: ProbeEvent = { type: 'time' };
const refused: ProbeEvent = { type: 'refused' };
const answer = (sequence: number): ProbeEvent => ({ type: 'answered', sequence });
const dueIn = ({ nextAtMs }: PathProbe): number => nextAtMs - BEGIN_MS;

describe('a probe', () => {
  it('sends its first packet at once, and knows nothing yet', () => {
    const probe = newProbe(BEGIN_MS);
    expect(probe.nextAtMs).toBe(BEGIN_MS);
    expect(nextProbe(probe, time, busy(BEGIN_MS)).send).toBe(1);
    expect([healthOf(probe, BEGIN_MS), silentMs(probe, BEGIN_MS), lossOf(probe, BEGIN_MS)]).toEqual([
      'unknown',
      0,
      undefined,
    ]);
  });

  it('sends nothing before its time, however often it is asked', () => {
    const probe = after();
    const asked = nextProbe(probe, time, busy(probe.nextAtMs - 1));
    expect(asked).toEqual({ probe });
  });

  it('is alive with its first answer, and has its round trip', () => {
    const probe = after([40, answer(1)]);
    expect(probe).toMatchObject({ answeredAtMs: BEGIN_MS + 40, rttMs: 40, unansweredSinceMs: undefined });
    expect(healthOf(probe, BEGIN_MS + 40)).toBe('alive');
  });

  it('smooths its round trip', () => {
    const probe = after([40, answer(1)], [1000, time], [1120, answer(2)]);
    expect(probe.rttMs).toBe(50);
  });

  it('believes a shorter round trip the more, the longer ago the last one is, and a longer one no more than usual', () => {
    const slow = after([1000, answer(1)], [16_000, time]);
    expect(nextProbe(slow, answer(2), busy(BEGIN_MS + 17_000)).probe.rttMs).toBe(1000);
    expect(nextProbe(slow, answer(2), busy(BEGIN_MS + 16_100)).probe.rttMs).toBeCloseTo(100 + 900 * (7 / 8) ** 15);
    expect(nextProbe(slow, answer(2), busy(BEGIN_MS + 18_000)).probe.rttMs).toBe(1125);
  });

  it('stays unknown, not dead, while nothing has ever come back', () => {
    const probe = after([1000, time], [1250, time], [1500, time]);
    expect(healthOf(probe, BEGIN_MS + 60_000)).toBe('unknown');
    expect(silentMs(probe, BEGIN_MS + 60_000)).toBe(60_000);
  });

  it.each<[string, readonly [number, ProbeEvent]]>([
    ['an answer to a packet that was never sent', [50, answer(7)]],
    ['a second answer to the same packet', [50, answer(1)]],
  ])('takes no notice of %s', (_what, event) => {
    const before = after([40, answer(1)]);
    expect(after([40, answer(1)], event)).toEqual(before);
  });

  it('takes no notice of a refusal before it has sent anything', () => {
    const probe = newProbe(BEGIN_MS);
    expect(nextProbe(probe, refused, busy(BEGIN_MS))).toEqual({ probe });
  });

  it('is alive when the peer refuses, but measures no round trip by that', () => {
    const probe = after([40, refused]);
    expect(healthOf(probe, BEGIN_MS + 40)).toBe('alive');
    expect(probe).toMatchObject({ rttMs: undefined, answeredAtMs: BEGIN_MS + 40 });
    expect(lossOf(probe, BEGIN_MS + 40)).toBe(0);
  });

  it('is alive again as soon as an answer comes, also a late one', () => {
    const dead = after([40, answer(1)], [1000, time], [1250, time], [1500, time], [1750, time], [2000, time]);
    expect(healthOf(dead, BEGIN_MS + 2500)).toBe('dead');
    const late = nextProbe(dead, answer(2), busy(BEGIN_MS + 2500)).probe;
    expect(healthOf(late, BEGIN_MS + 2500)).toBe('alive');
  });
});

describe('the next packet is due', () => {
  it('a second after the last one, while the path is in use', () => expect(dueIn(after([40, answer(1)]))).toBe(1000));

  it('a second after the last one, while the path is young, in use or not', () => {
    const { probe } = nextProbe(after(), answer(1), idle(BEGIN_MS + 40));
    expect(dueIn(probe)).toBe(1000);
  });

  it('after five seconds on a path that is neither', () => {
    const sent = nextProbe({ ...after(), nextAtMs: BEGIN_MS + 60_000 }, time, idle(BEGIN_MS + 60_000)).probe;
    const { probe } = nextProbe(sent, answer(2), idle(BEGIN_MS + 60_040));
    expect(dueIn(probe)).toBe(65_000);
    expect(dueIn(nextProbe(sent, answer(2), busy(BEGIN_MS + 60_040)).probe)).toBe(61_000);
  });

  it('later the more paths there are, unless one is in use: so that all idle ones together are few packets', () => {
    const answeredMs = BEGIN_MS + 60_040;
    const sent = nextProbe({ ...after(), nextAtMs: BEGIN_MS + 60_000 }, time, idle(BEGIN_MS + 60_000)).probe;
    const dueAfter = (use: PathUse, links: number): number =>
      dueIn(nextProbe(sent, answer(2), facts(use, 2 * links)(answeredMs)).probe) - 60_000;
    expect([1, 12, 39, 500].map((links) => dueAfter('idle', links))).toEqual([5000, 5000, 15_600, 200_000]);
    expect([1, 12, 39, 500].map((links) => dueAfter('spare', links))).toEqual([15_000, 15_000, 46_800, 600_000]);
    expect([1, 12, 39, 500].map((links) => dueAfter('busy', links))).toEqual([1000, 1000, 1000, 1000]);
  });

  it('after fifteen on a spare one, however young', () =>
    expect(dueIn(nextProbe(after(), answer(1), spare(BEGIN_MS + 40)).probe)).toBe(15_000));

  it('every five seconds on a spare one that is silent, where there are few', () => {
    let { probe } = nextProbe(after(), time, spare(BEGIN_MS + 1000));
    expect(dueIn(probe)).toBe(6000);
    probe = nextProbe(probe, time, spare(BEGIN_MS + 6000)).probe;
    expect(dueIn(probe)).toBe(11_000);
  });

  it('later the more paths there are, on a spare one that is silent, and on an idle one after a minute', () => {
    const silentFor = (ms: number, use: PathUse): number[] =>
      [12, 39, 500].map((links) => {
        const nowMs = BEGIN_MS + ms;
        return nextProbe(after(), time, facts(use, 2 * links)(nowMs)).probe.nextAtMs - nowMs;
      });
    expect(silentFor(59_999, 'idle')).toEqual([1000, 1000, 1000]);
    expect(silentFor(60_000, 'idle')).toEqual([5000, 15_600, 200_000]);
    for (const ms of [2000, 60_000]) expect(silentFor(ms, 'spare')).toEqual([5000, 15_600, 200_000]);
    expect(silentFor(60_000, 'busy')).toEqual([5000, 5000, 5000]);
  });

  it.each([
    ['a second on a path of unknown round trip', [], 1000],
    [
      '250 ms on a fast path',
      [
        [10, answer(1)],
        [1000, time],
      ],
      1250,
    ],
    [
      'three round trips on a slow one',
      [
        [200, answer(1)],
        [1000, time],
      ],
      1600,
    ],
    [
      'a second, which is more than half as long again',
      [
        [600, answer(1)],
        [1000, time],
      ],
      2000,
    ],
    [
      'half as long again on a very slow one',
      [
        [900, answer(1)],
        [1000, time],
      ],
      2350,
    ],
  ] as const)('as soon as an answer is overdue: %s', (_what, events, dueMs) =>
    expect(dueIn(after(...events))).toBe(dueMs),
  );

  it('at once, when it is made due', () => {
    const alive = after([10, answer(1)]);
    const { probe, send } = nextProbe(alive, { type: 'due' }, busy(BEGIN_MS + 300));
    expect([send, dueIn(probe), probe.unansweredSinceMs]).toEqual([2, 550, BEGIN_MS + 300]);
  });

  it('seven times a second from then on, while it is not certain that the path has died', () => {
    const retries = after([10, answer(1)], [1000, time], [1250, time]);
    expect(dueIn(retries)).toBe(1400);
    expect(dueIn(nextProbe(retries, time, busy(BEGIN_MS + 1400)).probe)).toBe(1550);
  });

  it('twice in a round trip where that is long, so that late answers bring no storm', () => {
    const retries = after([900, answer(1)], [1000, time], [2350, time]);
    expect(dueIn(retries)).toBe(2800);
  });

  it('as much later as answers come later than usual, and retries are as much further apart', () => {
    const late = facts('busy', 2, 2000);
    const out = nextProbe(after([10, answer(1)]), time, late(BEGIN_MS + 1000)).probe;
    expect(dueIn(out)).toBe(1000 + 1.5 * 2010);
    expect(dueIn(nextProbe(out, time, late(BEGIN_MS + 4015)).probe)).toBe(4015 + 2010 / 2);
    const spareOne = nextProbe(out, time, facts('spare', 2, 2000)(BEGIN_MS + 4015)).probe;
    expect(dueIn(spareOne)).toBe(4015 + 2010);
  });

  it('of a dead path no sooner than answers come now', () => {
    const dead = after([10, answer(1)], [1000, time], [1250, time], [1400, time], [1550, time]);
    expect(dueIn(nextProbe(dead, time, busy(BEGIN_MS + 2250)).probe)).toBe(3250);
    expect(dueIn(nextProbe(dead, time, facts('busy', 2, 2000)(BEGIN_MS + 2250)).probe)).toBe(2250 + 2010);
  });

  it('a second after an overdue answer of a spare path', () => {
    const { probe } = nextProbe(after([10, answer(1)], [1000, time]), time, spare(BEGIN_MS + 1250));
    expect(dueIn(probe)).toBe(2250);
  });

  /** When packets go out, in ms after the last of these events, on a path that is silent from then on. */
  function sentAfter(forMs: number, ...events: readonly (readonly [number, ProbeEvent])[]): readonly number[] {
    let probe = after(...events);
    const fromMs = events.at(-1)?.[0] ?? 0;
    const sentMs: number[] = [];
    for (let nowMs = probe.nextAtMs; nowMs <= BEGIN_MS + fromMs + forMs; nowMs = probe.nextAtMs) {
      ({ probe } = nextProbe(probe, time, busy(nowMs)));
      sentMs.push(nowMs - BEGIN_MS - fromMs);
    }
    return sentMs;
  }

  it('once a second when it is certain, and every five seconds after a minute of silence', () => {
    const sentMs = sentAfter(80_000, [0, answer(1)], [1000, time]);
    const dead = sentMs.findIndex((ms) => ms >= 1200);
    expect(sentMs.slice(0, dead + 1)).toEqual([250, 400, 550, 700, 850, 1000, 1150, 1300]);
    const gaps = sentMs.slice(dead + 1).map((ms, index) => ms - sentMs[dead + index]!);
    const minute = sentMs.findIndex((ms) => ms >= 60_000);
    expect(new Set(gaps.slice(0, minute - dead))).toEqual(new Set([1000]));
    expect(new Set(gaps.slice(minute - dead))).toEqual(new Set([5000]));
  });

  it('once a second on a path that never answered, and every five seconds after a minute', () => {
    const sentMs = sentAfter(80_000);
    expect(sentMs.slice(0, 3)).toEqual([1000, 2000, 3000]);
    expect(sentMs.filter((ms) => ms <= 60_000)).toHaveLength(60);
    expect(sentMs.filter((ms) => ms > 60_000)).toEqual([65_000, 70_000, 75_000, 80_000]);
  });
});

describe('a packet that is out', () => {
  it('makes the path overdue when another one had to follow it, by each that did', () => {
    expect(overdueFor(newProbe(BEGIN_MS))).toBe(0);
    expect(overdueFor(after())).toBe(0);
    expect(overdueFor(after([10, answer(1)], [1000, time]))).toBe(0);
    const retried = after([10, answer(1)], [1000, time], [1250, time]);
    expect(overdueFor(retried)).toBe(1);
    expect(overdueFor(nextProbe(retried, time, busy(BEGIN_MS + 1400)).probe)).toBe(2);
    expect(overdueFor(nextProbe(retried, answer(3), busy(BEGIN_MS + 1260)).probe)).toBe(0);
  });

  it('never makes a path overdue that has not worked yet', () => {
    expect(overdueFor(after([1000, time]))).toBe(0);
    expect(overdueFor(after([1000, time], [2000, time]))).toBe(0);
  });

  it('is worth another one while nothing has come back, but not at once', () => {
    const out = after([10, answer(1)], [1000, time]);
    const isWorth = (sinceMs: number, ms: number): boolean =>
      isWorthAsking(out, BEGIN_MS + sinceMs, busy(BEGIN_MS + ms));
    expect([isWorth(900, 1070), isWorth(900, 1080)]).toEqual([false, true]);
    expect(isWorthAsking(newProbe(BEGIN_MS), BEGIN_MS, busy(BEGIN_MS))).toBe(true);
    expect([isWorth(0, 1080), isWorth(1, 1080)], 'after an answer to what was sent at 0').toEqual([false, true]);
    expect([answeredSentAtMs(newProbe(BEGIN_MS)), answeredSentAtMs(out)]).toEqual([-Infinity, BEGIN_MS]);
  });

  it('is worth another one after half a round trip at the soonest', () => {
    const slow = after([900, answer(1)], [1000, time]);
    expect([1449, 1450].map((ms) => isWorthAsking(slow, BEGIN_MS + 1, busy(BEGIN_MS + ms)))).toEqual([false, true]);
    const late = facts('busy', 2, 200);
    expect([1549, 1550].map((ms) => isWorthAsking(slow, BEGIN_MS + 1, late(BEGIN_MS + ms)))).toEqual([false, true]);
  });

  it('is worth another one the later, the longer it is out', () => {
    const out = after([10, answer(1)], [1000, time], [1250, time], [1400, time]);
    expect([1799, 1800].map((ms) => isWorthAsking(out, BEGIN_MS + 1, busy(BEGIN_MS + ms)))).toEqual([false, true]);
  });

  it('asks for an answer through the other path, and for a newer one when nothing has come back for 0.9 s', () => {
    const since = (probe: PathProbe, ms: number): number | undefined => {
      const sinceMs = comparedSinceMs(probe, BEGIN_MS + ms);
      return sinceMs && sinceMs - BEGIN_MS;
    };
    const overdue = after([10, answer(1)], [1000, time], [1250, time]);
    expect([1250, 1899, 1900, 5000].map((ms) => since(overdue, ms))).toEqual([1000, 1000, 1900, 1900]);
    expect(since(after([10, answer(1)]), 500), 'while nothing is out').toBeUndefined();
    expect(since(after([10, answer(1)], [1000, time]), 1200), 'while nothing is overdue').toBeUndefined();
    const unheard = after([1000, time], [2000, time]);
    expect([2000, 4999, 5000].map((ms) => since(unheard, ms))).toEqual([undefined, undefined, 900]);
  });

  it('keeps the path from being idle, and so does one that was answered just now', () => {
    expect(isIdle(after(), BEGIN_MS + 900)).toBe(false);
    const alive = after([10, answer(1)]);
    expect([isIdle(alive, BEGIN_MS + 149), isIdle(alive, BEGIN_MS + 150)]).toEqual([false, true]);
  });
});

describe('a peer that asks', () => {
  const isWorth = (probe: PathProbe, ms: number): boolean => isWorthAskingBack(probe, BEGIN_MS + ms);

  it('is asked back through a path that never worked, or has died, once a second at most', () => {
    expect([isWorth(after(), 999), isWorth(after(), 1000)]).toEqual([false, true]);
    const dead = after([10, answer(1)], [1000, time], [1250, time], [1400, time], [1550, time]);
    expect([isWorth(dead, 2549), isWorth(dead, 2550)]).toEqual([false, true]);
  });

  it('is not asked back through one that works', () => expect(isWorth(after([10, answer(1)]), 60_000)).toBe(false));
});

describe('what was lost', () => {
  it('since a moment are the packets from then on that are overdue', () => {
    const silent = after([10, answer(1)], [1000, time], [1250, time], [1400, time]);
    const lost = (sinceMs: number, ms: number): number => lostSince(silent, BEGIN_MS + sinceMs, busy(BEGIN_MS + ms));
    expect([lost(0, 1400), lost(0, 1649), lost(0, 1650)]).toEqual([1, 2, 3]);
    expect([lost(1000, 1650), lost(1001, 1650), lost(1401, 1650)]).toEqual([3, 2, 0]);
    const { probe } = nextProbe(silent, answer(3), busy(BEGIN_MS + 1500));
    expect(lostSince(probe, BEGIN_MS + 1001, busy(BEGIN_MS + 1650))).toBe(1);
    const late = facts('busy', 2, 1000);
    expect([2514, 2515, 2915].map((ms) => lostSince(silent, BEGIN_MS, late(BEGIN_MS + ms)))).toEqual([0, 1, 3]);
  });
});

describe('an answer', () => {
  it('is as late as it takes longer than usual; the first one, one of nobody’s packets and one more are not', () => {
    const slow = after([100, answer(1)], [1000, time], [1300, time]);
    const lateAt = (packet: number, ms: number): number | undefined => lateBy(slow, packet, BEGIN_MS + ms);
    expect([lateAt(2, 1100), lateAt(2, 3000), lateAt(3, 3000)]).toEqual([0, 1900, 1600]);
    expect([lateAt(1, 3000), lateAt(9, 3000), lateBy(after(), 1, BEGIN_MS + 3000)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('loss', () => {
  it('counts a packet once it is answered, or overdue by a second', () => {
    const probe = after([10, answer(1)], [1000, time]);
    expect(lossOf(probe, BEGIN_MS + 1999)).toBe(0);
    expect(lossOf(probe, BEGIN_MS + 2000)).toBe(0.5);
  });

  it('is that of the last twenty packets', () => {
    let probe = after([10, answer(1)]);
    for (let nowMs = BEGIN_MS; probe.sequence < 30; nowMs += 250) probe = nextProbe(probe, time, busy(nowMs)).probe;
    expect(probe.recent).toHaveLength(20);
    expect(lossOf(probe, BEGIN_MS + 60_000)).toBe(1);
  });

  it('comes out as it is on the way, give or take what twenty packets can tell', () => {
    const path = new SimulatedPath({ seed: 7, loss: 0.3, rttMs: () => 30 });
    const told: number[] = [];
    while (path.probe.sequence < 5000) {
      path.step();
      told.push(lossOf(path.probe, path.nowMs) ?? 0);
    }
    const mean = told.reduce((sum, loss) => sum + loss, 0) / told.length;
    expect(mean).toBeGreaterThan(0.2);
    expect(mean).toBeLessThan(0.4);
  });
});

describe('death', () => {
  const rounds = fc.record({
    seed: fc.integer(),
    loss: fc.double({ min: 0, max: 0.6, noNaN: true }),
    rttMs: fc.integer({ min: 0, max: 300 }),
    jitterMs: fc.integer({ min: 0, max: 50 }),
    aliveForMs: fc.integer({ min: 3000, max: 120_000 }),
    /** The clock of the caller is late by as much: a timer, or a busy machine. */
    lateMs: fc.integer({ min: 0, max: 20 }),
  });

  it('is known within 2.5 s of the last possible answer, whatever was lost before, while the path is in use', () =>
    fc.assert(
      fc.property(rounds, ({ seed, loss, rttMs, jitterMs, aliveForMs, lateMs }) => {
        const path = new SimulatedPath({ seed, loss, rttMs: (random) => rttMs + random() * jitterMs, lateMs });
        path.runUntil(BEGIN_MS + aliveForMs);
        fc.pre(path.probe.answeredAtMs !== undefined);
        const lastAnswerMs = path.die();
        path.runUntil(lastAnswerMs + 10_000);
        // Two round trips are part of it: more than 2.5 s only where one takes more than 125 ms.
        const allowedMs = Math.max(2500, 2250 + 2 * (path.probe.rttMs ?? 0)) + 3 * lateMs;
        expect(path.deadSinceMs! - lastAnswerMs).toBeLessThanOrEqual(allowedMs);
      }),
      { numRuns: 300 },
    ));

  it('is known within 7.5 s on a path that is not in use', () => {
    const path = new SimulatedPath({ seed: 1, loss: 0, rttMs: () => 20, use: 'idle' });
    path.runUntil(BEGIN_MS + 120_000);
    const lastAnswerMs = path.die();
    path.runUntil(lastAnswerMs + 20_000);
    expect(path.deadSinceMs! - lastAnswerMs).toBeLessThanOrEqual(7500);
  });

  // Five packets in a row have to be lost: 0.3 to the fifth. A tunnel that loses so much is taken down every few minutes.
  it.each([
    [0.05, 0.2],
    [0.1, 0.5],
    [0.2, 5],
    [0.3, 25],
  ])('is told of a path that loses %f of its packets at most so often per 10,000 probes: %f', (loss, most) => {
    const paths = Array.from({ length: 20 }, (_, seed) => new SimulatedPath({ seed, loss, rttMs: () => 30 }));
    for (const path of paths) while (path.probe.sequence < 10_000) path.step();
    expect(paths.reduce((sum, { deaths }) => sum + deaths, 0) / paths.length).toBeLessThanOrEqual(most);
  });

  it('takes four packets: a process that was not running itself has sent none, and the path may be well', () => {
    const two = after([40, answer(1)], [1000, time], [61_000, time]);
    expect(healthOf(two, BEGIN_MS + 61_000)).toBe('alive');
    const three = nextProbe(two, time, busy(BEGIN_MS + 61_150)).probe;
    expect([healthOf(three, BEGIN_MS + 61_299), three.nextAtMs]).toEqual(['alive', BEGIN_MS + 61_300]);
    const four = nextProbe(three, time, busy(BEGIN_MS + 61_300)).probe;
    expect(healthOf(four, BEGIN_MS + 61_300)).toBe('dead');
  });

  it('takes 1.2 s and two round trips, however many packets are sent', () => {
    let probe = after([100, answer(1)], [1000, time]);
    for (let ms = 1050; ms < 2400; ms += 50) probe = nextProbe(probe, { type: 'due' }, busy(BEGIN_MS + ms)).probe;
    expect([healthOf(probe, BEGIN_MS + 2399), healthOf(probe, BEGIN_MS + 2400)]).toEqual(['alive', 'dead']);
  });

  it('is never told of a path without loss, whatever its round trip and its jitter', () =>
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 0, max: 900 }),
        fc.integer({ min: 0, max: 200 }),
        (seed, rtt, jitter) => {
          const path = new SimulatedPath({ seed, loss: 0, rttMs: (random) => rtt + random() * jitter });
          path.runUntil(BEGIN_MS + 120_000);
          expect(path.deaths).toBe(0);
        },
      ),
    ));
});

describe('a dead path', () => {
  /** Silent from the packet of 1000 on, and heard of at these times that the other path has answered what was sent then. */
  function silent(...heard: readonly (readonly [number, number])[]): PathProbe {
    let probe = after([10, answer(1)], [1000, time]);
    const left = [...heard];
    for (let nowMs = BEGIN_MS + 1000; nowMs < BEGIN_MS + 3000; nowMs += 10) {
      if (nowMs >= probe.nextAtMs) ({ probe } = nextProbe(probe, time, busy(nowMs)));
      const [atMs, sentAtMs] = left[0] ?? [Infinity, 0];
      if (nowMs < BEGIN_MS + atMs) continue;
      left.shift();
      ({ probe } = nextProbe(probe, { type: 'other-answered', sentAtMs: BEGIN_MS + sentAtMs }, busy(nowMs)));
    }
    return probe;
  }

  /** Ms after which it is outdone; undefined when it never is. */
  function outdoneAfter(probe: PathProbe): number | undefined {
    for (let ms = 1000; ms < 10_000; ms += 10) if (isOutdone(probe, BEGIN_MS + ms)) return ms;
    return undefined;
  }

  it('is not outdone as long as the other path has not answered', () => expect(outdoneAfter(silent())).toBeUndefined());

  it('is outdone as soon as it is dead, when the other path has answered at once', () => {
    expect(outdoneAfter(silent([1910, 1900]))).toBe(2220);
  });

  it('has as much time again as the other path’s answer took', () => {
    expect(outdoneAfter(silent([2700, 1900]))).toBe(3500);
    expect(outdoneAfter(silent([2700, 1900], [2710, 2700]))).toBe(3500);
  });

  it('has a quarter of a second at least', () => expect(outdoneAfter(silent([2500, 2490]))).toBe(2750));

  it('is not outdone by an answer to what was sent before it had been silent for long', () => {
    expect(outdoneAfter(silent([2700, 1899]))).toBeUndefined();
    expect(outdoneAfter(silent([1300, 1250], [2700, 1899]))).toBeUndefined();
  });

  it('is not outdone any more when something has come back', () => {
    const outdone = silent([1910, 1900]);
    for (const event of [answer(2), refused]) {
      const { probe } = nextProbe(outdone, event, busy(BEGIN_MS + 3000));
      expect(outdoneAfter(probe)).toBeUndefined();
    }
  });

  it('asks once more when the time is up', () => {
    let probe = silent();
    const { nextAtMs } = probe;
    ({ probe } = nextProbe(probe, { type: 'other-answered', sentAtMs: BEGIN_MS + 2900 }, busy(BEGIN_MS + 2905)));
    expect(dueIn(probe)).toBe(3155);
    expect(nextAtMs - BEGIN_MS).toBeGreaterThan(3155);
  });

  it('of which nothing was ever heard has five seconds', () => {
    const { probe } = nextProbe(after(), { type: 'other-answered', sentAtMs: BEGIN_MS + 900 }, busy(BEGIN_MS + 950));
    expect([4999, 5000].map((ms) => isOutdone(probe, BEGIN_MS + ms))).toEqual([false, true]);
    const late = nextProbe(after(), { type: 'other-answered', sentAtMs: BEGIN_MS + 2000 }, busy(BEGIN_MS + 6000)).probe;
    expect([9999, 10_000].map((ms) => isOutdone(late, BEGIN_MS + ms))).toEqual([false, true]);
  });

  it('that nothing is out on takes no notice', () => {
    const well = after([10, answer(1)]);
    expect(nextProbe(well, { type: 'other-answered', sentAtMs: BEGIN_MS + 500 }, busy(BEGIN_MS + 510)).probe).toBe(
      well,
    );
  });
});

describe('two paths of a link', () => {
  const stalls = fc.record({
    seed: fc.integer(),
    rttMs: fc.integer({ min: 0, max: 300 }),
    /** Nobody at the other end runs for so long, again and again. */
    stallMs: fc.integer({ min: 0, max: 5000 }),
    runMs: fc.integer({ min: 100, max: 5000 }),
    /** What was kept waiting comes in any order, within so long. */
    crowdMs: fc.integer({ min: 0, max: 250 }),
  });

  it('are late together: none is outdone', () =>
    fc.assert(
      fc.property(stalls, (conditions) => {
        const link = new SimulatedLink(conditions);
        link.runFor(120_000);
        expect(link.outdone).toBe(0);
      }),
    ));

  it('are late together, and found dead by their silence alone', () => {
    const link = new SimulatedLink({ seed: 1, rttMs: 20, stallMs: 3000, runMs: 15_000, crowdMs: 200 });
    link.runFor(300_000);
    expect(link.deaths).toBeGreaterThan(10);
  });

  it.each([0, 200])('tell a dead one within 2.5 s and the other’s round trip of %i ms', (rttMs) => {
    for (let seed = 0; seed < 50; seed += 1) {
      const link = new SimulatedLink({ seed, rttMs, stallMs: 0, runMs: 1000, crowdMs: 0 });
      link.runFor(3000 + 20 * seed);
      link.killDirect();
      expect(link.msUntilOutdone()).toBeLessThanOrEqual(2500 + 2 * rttMs);
    }
  });
});
