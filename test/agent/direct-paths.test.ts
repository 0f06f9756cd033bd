import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DirectPaths } from '../../src/agent/direct-paths.ts';
import type { LinkHint } from '../../src/control/frames.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { childSa, ikeSa, names } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { hint, linkedTo } from './links.ts';

const registered = ikeSa(names.medsrv);
const peers = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const mesh = linkedTo(...peers);
const allHints = new Map(peers.map((peer) => [`edge1--${peer}`, hint(peer)]));
const turn = (peer: string): string => `initiate cygnet-peer-${peer}/edge1--${peer}`;
const sa = (peer: string, state: string): IkeSa => ikeSa(`cygnet-peer-${peer}`, { state });
const upSa = (peer: string): IkeSa => ikeSa(`cygnet-peer-${peer}`, { childSas: [childSa(`edge1--${peer}`)] });

function start(): { readonly paths: DirectPaths; readonly clock: ManualClock } {
  const clock = new ManualClock();
  return { paths: new DirectPaths({ clock, random: () => 0.999_999 }), clock };
}

const turnsOf = (
  paths: DirectPaths,
  ikeSas: readonly IkeSa[] = [registered],
  hints: ReadonlyMap<string, LinkHint> = allHints,
): string[] => [...paths.observed(mesh, ikeSas, hints)];

describe('a direct path has its turn', () => {
  it('when both ends are registered and this one initiates', () => {
    const hints = new Map([
      ['edge1--p1', hint('p1')],
      ['edge1--p2', hint('p2', { registered: false })],
      ['edge1--p3', hint('p3', { initiate: false })],
    ]);
    expect(turnsOf(start().paths, [registered], hints)).toEqual([turn('p1')]);
  });

  it('only while this node is registered itself', () => expect(turnsOf(start().paths, [])).toEqual([]));

  it('with at most four at once, those counted whose SA cannot be seen yet', () => {
    const { paths } = start();
    expect(turnsOf(paths)).toEqual(['p1', 'p2', 'p3', 'p4'].map(turn));
    for (const peer of ['p1', 'p2', 'p3', 'p4']) paths.initiated(`edge1--${peer}`);
    expect(turnsOf(paths)).toEqual([]);
    expect(turnsOf(paths, [registered, upSa('p1'), sa('p2', 'CREATED')])).toEqual([turn('p5')]);
  });

  it('with those counted that the other end has begun', () => {
    const begun = ['p1', 'p2', 'p3'].map((peer) => sa(peer, 'CONNECTING'));
    expect(turnsOf(start().paths, [registered, ...begun])).toHaveLength(1);
  });

  it('not again before it has rested', () => {
    const { paths, clock } = start();
    const hints = new Map([['edge1--p1', hint('p1')]]);
    turnsOf(paths, [registered], hints);
    paths.initiated('edge1--p1');
    clock.advance(3000);
    expect(turnsOf(paths, [registered], hints)).toEqual([]);
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting', failures: 1 });
    clock.advance(4000);
    expect(turnsOf(paths, [registered], hints)).toEqual([turn('p1')]);
  });

  it('not while it is up', () => {
    const { paths } = start();
    expect(turnsOf(paths, [registered, upSa('p1')], new Map([['edge1--p1', hint('p1')]]))).toEqual([]);
    expect(paths.paths.get('edge1--p1')).toEqual({ phase: 'up', failures: 0 });
  });

  it('again while it is up with other selectors than it should have', () => {
    const { paths } = start();
    const old = { ...upSa('p1'), childSas: [childSa('edge1--p1', { remoteTs: ['10.0.0.0/8'] })] };
    expect(turnsOf(paths, [registered, old], new Map([['edge1--p1', hint('p1')]]))).toEqual([turn('p1')]);
  });

  it('is forgotten with its link', () => {
    const { paths } = start();
    turnsOf(paths);
    paths.observed(linkedTo('p2'), [registered], allHints);
    expect([...paths.paths.keys()]).toEqual(['edge1--p2']);
  });

  it('never with more than four under way, whatever is initiated, seen and lost', () => {
    const states = fc.constantFrom('none', 'CREATED', 'CONNECTING', 'up');
    const rounds = fc.array(fc.tuple(fc.tuple(states, states, states, states, states, states), fc.nat(100_000)));
    fc.assert(
      fc.property(rounds, (history) => {
        const { paths, clock } = start();
        for (const [seen, afterMs] of history) {
          clock.advance(afterMs);
          const ikeSas = peers.flatMap((peer, index) => {
            const state = seen[index]!;
            if (state === 'none') return [];
            return state === 'up' ? [upSa(peer)] : [sa(peer, state)];
          });
          const turns = turnsOf(paths, [registered, ...ikeSas]);
          const pending = peers.filter((_peer, index) => ['CREATED', 'CONNECTING'].includes(seen[index]!)).length;
          expect(turns.length).toBeLessThanOrEqual(Math.max(0, 4 - pending));
          for (const peer of peers) if (turns.includes(turn(peer))) paths.initiated(`edge1--${peer}`);
        }
      }),
    );
  });
});
