import * as fc from 'fast-check';
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

const causes = fc.option(fc.constantFrom(...PATH_CAUSES), { nil: undefined });
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** Beyond every rest: an hour, and what a try takes. */
const LONGEST_MS: Readonly<Record<PathCause | 'unknown', number>> = {
  unknown: 300_000,
  'peer-offline': 300_000,
  'mediator-unreachable': 300_000,
  'udp-blocked': 300_000,
  'stuck-in-charon': 300_000,
  'path-silent': 300_000,
  'symmetric-nat': 3_600_000,
  'auth-failed': 600_000,
  'no-proposal': 600_000,
  'ts-unacceptable': 600_000,
  'peer-refused': 600_000,
};

describe('a direct path, after any events in any order', () => {
  const ids = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 });
  const anyEvent: fc.Arbitrary<DirectPathEvent> = fc.oneof(
    fc.constant({ type: 'initiated' as const }),
    fc.constant({ type: 'network-changed' as const }),
    fc.constant({ type: 'stuck' as const }),
    fc.constant({ type: 'proven' as const }),
    fc.record({ type: fc.constant('observed' as const), sa: fc.constantFrom('none' as const, 'pending' as const) }),
    fc.record({ type: fc.constant('observed' as const), sa: fc.constant('up' as const), ikeSaIds: ids }),
    fc.record({ type: fc.constantFrom('silent' as const, 'reconnect' as const), ikeSaIds: ids }),
  );
  const histories = fc.array(
    fc.record({ event: anyEvent, afterMs: fc.nat({ max: 4_000_000 }), random: randoms, cause: causes }),
  );

  function pathAfter(history: typeof histories extends fc.Arbitrary<infer H> ? H : never): {
    readonly path: DirectPath;
    readonly nowMs: number;
  } {
    let nowMs = 0;
    let path = NEW_DIRECT_PATH;
    for (const { event, afterMs, random, cause } of history) {
      nowMs += afterMs;
      path = nextDirectPath(path, event, { nowMs, random: () => random, patienceMs: PATIENCE_MS, cause });
    }
    return { path, nowMs };
  }

  it('is up exactly when its CHILD SA was seen last, in an SA that was not given up', () =>
    fc.assert(
      fc.property(histories, anyEvent, (history, last) => {
        fc.pre(last.type === 'observed');
        const { path, nowMs } = pathAfter(history);
        const after = nextDirectPath(path, last, { nowMs, random: () => 0, patienceMs: PATIENCE_MS, cause: undefined });
        const givenUp = path.phase === 'ending' ? path.ikeSaIds : [];
        const isUp = last.sa === 'up' && last.ikeSaIds.some((id) => !givenUp.includes(id));
        expect(after.phase === 'up').toBe(isUp);
      }),
    ));

  it('ends only by what was silent or is to be another, and only while it was up', () =>
    fc.assert(
      fc.property(histories, ids, fc.boolean(), (history, ikeSaIds, isSilent) => {
        const { path, nowMs } = pathAfter(history);
        const after = nextDirectPath(
          path,
          { type: isSilent ? 'silent' : 'reconnect', ikeSaIds },
          { nowMs, random: () => 0, patienceMs: PATIENCE_MS, cause: undefined },
        );
        if (path.phase === 'up') {
          const isFailure = isSilent && !path.proven;
          const counted = isFailure ? { failures: path.failures + 1, lost: false } : { failures: 0, lost: true };
          expect(after).toEqual({
            phase: 'ending',
            ...counted,
            ikeSaIds,
            abandonAtMs: isSilent ? nowMs : nowMs + 2000,
          });
        } else expect(after).toBe(path);
      }),
    ));

  it('can be tried again after a bounded time without an SA, whatever the cause', () =>
    fc.assert(
      fc.property(histories, causes, (history, cause) => {
        const { path, nowMs } = pathAfter(history);
        const look = (before: DirectPath, atMs: number): DirectPath =>
          nextDirectPath(
            before,
            { type: 'observed', sa: 'none' },
            { nowMs: atMs, random: () => 0.999_999, patienceMs: PATIENCE_MS, cause },
          );
        const tried = look(path, nowMs + 3000);
        // A rest that had begun has the length of its own cause.
        const restMs = path.phase === 'resting' ? 3_600_000 : LONGEST_MS[cause ?? 'unknown'];
        expect(look(tried, nowMs + 3000 + restMs).phase).toBe('idle');
      }),
    ));

  it('changes by the time that it says, and not before', () =>
    fc.assert(
      fc.property(histories, (history) => {
        const { path, nowMs } = pathAfter(history);
        const atMs = changesAtMs(path, { nowMs, patienceMs: PATIENCE_MS });
        if (path.phase === 'ending') {
          expect(abandonedAt(path, atMs ?? nowMs)).toEqual(path.ikeSaIds);
          if (atMs !== undefined) expect(abandonedAt(path, atMs - 1)).toEqual([]);
          return;
        }
        const look = (ms: number): DirectPath =>
          nextDirectPath(
            path,
            { type: 'observed', sa: 'pending' },
            { nowMs: ms, random: () => 0, patienceMs: PATIENCE_MS, cause: undefined },
          );
        if (atMs === undefined) return;
        expect(look(Math.max(nowMs, atMs)).phase).not.toBe(path.phase);
        if (atMs > nowMs) expect(look(atMs - 1)).toEqual(path);
      }),
    ));
});

/** What may happen to a link between two looks. */
const happenings = fc.oneof(
  fc.record({ what: fc.constant('time' as const), ms: fc.nat({ max: 100_000 }) }),
  fc.record({ what: fc.constant('checks-work' as const) }),
  fc.record({ what: fc.constant('attempt-gone' as const) }),
  fc.record({ what: fc.constant('peer-initiates' as const) }),
  fc.record({ what: fc.constant('goes-silent' as const) }),
  fc.record({ what: fc.constant('reconnect' as const), isHeard: fc.boolean() }),
  fc.record({ what: fc.constant('peer-deletes' as const) }),
  fc.record({ what: fc.constant('network-changed' as const) }),
  fc.record({ what: fc.constant('stuck' as const) }),
  fc.record({ what: fc.constant('turn' as const), isOurs: fc.boolean() }),
  fc.record({ what: fc.constant('cause' as const), cause: causes }),
);
type Happening = typeof happenings extends fc.Arbitrary<infer H> ? H : never;

interface WorldSa {
  readonly id: number;
  readonly state: 'checking' | 'installed';
  readonly carries: boolean;
}

/** A charon with the SAs of one link, and a driver that uses the path as the agent does; fails when it must not go on. */
class World {
  path = NEW_DIRECT_PATH;
  nowMs = 0;
  sas: readonly WorldSa[] = [];
  isOurTurn = true;
  /** Asked for, and whether the peer hears of it. */
  #reconnect: { readonly isHeard: boolean } | undefined;
  #cause: PathCause | undefined;
  #nextId = 1;
  /** When SAs were given up, and those that the peer was told of: none of them may be taken for a path again. */
  readonly #givenUp = new Map<number, { readonly atMs: number; readonly isSilent: boolean }>();

  happen(happening: Happening): void {
    switch (happening.what) {
      case 'time':
        this.nowMs += happening.ms;
        return;
      case 'checks-work':
        this.sas = this.sas.map((sa) => ({ ...sa, state: 'installed' }));
        return;
      case 'attempt-gone':
        this.sas = this.sas.filter(({ state }) => state !== 'checking');
        return;
      case 'peer-initiates':
        return this.#attempt();
      case 'goes-silent':
        this.sas = this.sas.map((sa) => (sa.state === 'installed' ? { ...sa, carries: false } : sa));
        return;
      case 'reconnect':
        this.#reconnect = happening;
        return;
      case 'peer-deletes':
        this.sas = this.sas.filter(({ state }) => state !== 'installed');
        return;
      case 'network-changed':
        return this.#next({ type: 'network-changed' });
      case 'stuck':
        return this.#next({ type: 'stuck' });
      case 'turn':
        this.isOurTurn = happening.isOurs;
        return;
      case 'cause':
        this.#cause = happening.cause;
    }
  }

  /** One round of the agent. */
  round(): void {
    const installed = this.sas.filter(({ state }) => state === 'installed');
    const ikeSaIds = installed.map(({ id }) => id);
    if (installed.length > 0) this.#next({ type: 'observed', sa: 'up', ikeSaIds });
    else this.#next({ type: 'observed', sa: this.sas.length > 0 ? 'pending' : 'none' });
    if (this.path.phase === 'up') {
      if (ikeSaIds.every((id) => this.#givenUp.has(id))) throw new Error('up by SAs that were given up');
      if (installed.every(({ carries }) => !carries)) this.#giveUp('silent', ikeSaIds);
      else if (this.#reconnect === undefined) this.#next({ type: 'proven' });
      else {
        this.#giveUp('reconnect', ikeSaIds);
        // The peer ends what it hears of.
        if (this.#reconnect.isHeard) this.sas = this.sas.filter(({ id }) => !ikeSaIds.includes(id));
      }
    }
    this.#reconnect = undefined;
    this.#abandon(abandonedAt(this.path, this.nowMs));
    if (this.path.phase === 'idle' && this.isOurTurn) this.#initiate();
  }

  #giveUp(type: 'silent' | 'reconnect', ikeSaIds: readonly number[]): void {
    for (const id of ikeSaIds) this.#givenUp.set(id, { atMs: this.nowMs, isSilent: type === 'silent' });
    this.#next({ type, ikeSaIds });
  }

  #initiate(): void {
    if (this.sas.some(({ state }) => state === 'installed')) throw new Error('initiated beside a tunnel');
    // As the plan does it: what the peer has begun is waited for.
    if (this.sas.length > 0) return;
    this.#attempt();
    this.#next({ type: 'initiated' });
  }

  #attempt(): void {
    this.sas = [...this.sas, { id: this.#nextId, state: 'checking', carries: true }];
    this.#nextId += 1;
  }

  #abandon(ids: readonly number[]): void {
    const abandoned = this.sas.filter(({ id }) => ids.includes(id));
    if (abandoned.some(({ state }) => state !== 'installed')) throw new Error('abandoned while its checks run');
    for (const { id } of abandoned) {
      const given = this.#givenUp.get(id);
      if (given === undefined) throw new Error('abandoned, and it was not given up');
      if (!given.isSilent && this.nowMs < given.atMs + 2000) throw new Error('abandoned before the peer could end it');
    }
    this.sas = this.sas.filter(({ id }) => !ids.includes(id));
  }

  #next(event: DirectPathEvent): void {
    const facts = { nowMs: this.nowMs, random: () => 0.5, patienceMs: PATIENCE_MS, cause: this.#cause };
    this.path = nextDirectPath(this.path, event, facts);
  }
}

describe('a link, whatever happens to it', () => {
  it('is never set up beside a tunnel, and never kept by one that is silent', () =>
    fc.assert(
      fc.property(fc.array(happenings, { maxLength: 60 }), (history) => {
        const world = new World();
        for (const happening of history) {
          world.happen(happening);
          world.round();
        }
      }),
      { numRuns: 500 },
    ));

  it('is direct again within a bounded time, once nothing more stands in the way', () =>
    fc.assert(
      fc.property(fc.array(happenings, { maxLength: 40 }), (history) => {
        const world = new World();
        for (const happening of history) {
          world.happen(happening);
          world.round();
        }
        world.happen({ what: 'cause', cause: undefined });
        world.isOurTurn = true;
        const endMs = world.nowMs + 3_610_000;
        while (world.path.phase !== 'up' && world.nowMs < endMs) {
          world.happen({ what: 'time', ms: 1000 });
          world.happen({ what: 'checks-work' });
          world.round();
        }
        expect(world.path.phase).toBe('up');
        expect(world.sas.some(({ carries }) => carries)).toBe(true);
      }),
      { numRuns: 200 },
    ));
});
