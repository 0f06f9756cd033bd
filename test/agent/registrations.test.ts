import { describe, expect, it } from 'vitest';
import { Registrations } from '../../src/agent/registrations.ts';
import { desired, ikeSa, mediatedPeer, medsrv, names } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';

const state = desired(medsrv(), mediatedPeer());

describe('registrations', () => {
  it('last from their first sight to their end', () => {
    const clock = new ManualClock();
    const registrations = new Registrations(clock);
    const first = ikeSa(names.medsrv, { uniqueId: 1 });
    const next = ikeSa(names.medsrv, { uniqueId: 2 });
    const seen = [[], [first], [first], [next], [next], [], [first]].map((ikeSas) => {
      const forMs = registrations.look(state, ikeSas).get(names.medsrv);
      clock.advance(700);
      return forMs;
    });
    expect(seen).toEqual([undefined, 0, 700, 0, 700, undefined, 0]);
  });

  it('are established IKE SAs of mediation connections, and nothing else', () => {
    const others = [ikeSa(names.medsrv, { state: 'CONNECTING' }), ikeSa(names.peer, { uniqueId: 2 })];
    expect(new Registrations(new ManualClock()).look(state, others)).toEqual(new Map());
  });
});
