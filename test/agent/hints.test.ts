import { describe, expect, it } from 'vitest';
import { ALONE_AFTER_MS, effectiveHints, isRegistered, mediatedLinks } from '../../src/agent/hints.ts';
import { desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { hint, linkedTo } from './links.ts';

const mesh = linkedTo('aaa', 'remote');
const saidByCoordinator = [hint('remote', { initiate: false })];

describe('hints', () => {
  it('are the coordinator’s while it is there', () => {
    const source = { hints: saidByCoordinator, channelDownMs: 0 };
    expect([...effectiveHints(mesh, source).values()]).toEqual(saidByCoordinator);
  });

  it('stay the coordinator’s for a while when it is gone', () => {
    const source = { hints: saidByCoordinator, channelDownMs: ALONE_AFTER_MS - 1 };
    expect([...effectiveHints(mesh, source).values()]).toEqual(saidByCoordinator);
  });

  it('are none before the coordinator has said any', () =>
    expect(effectiveHints(mesh, { hints: undefined, channelDownMs: 5 }).size).toBe(0));

  it('are the node’s own after 20 s alone: the lexically first end initiates', () => {
    const source = { hints: saidByCoordinator, channelDownMs: 20_000 };
    expect([...effectiveHints(mesh, source).values()]).toEqual([hint('aaa', { initiate: false }), hint('remote')]);
  });
});

describe('a mediated link', () => {
  it('is one whose direct path is a mediated connection', () => {
    expect(mediatedLinks(desired(medsrv(), mediatedPeer(), spoke()))).toMatchObject([
      {
        link: { id: 'edge1--remote' },
        connection: names.peer,
        child: { name: 'edge1--remote' },
        mediatedBy: names.medsrv,
      },
    ]);
    expect(mediatedLinks(desired(spoke()))).toEqual([]);
  });

  it('can be set up only while this node is registered', () => {
    expect(isRegistered(names.medsrv, [ikeSa(names.medsrv)])).toBe(true);
    expect(isRegistered(names.medsrv, [ikeSa(names.medsrv, { state: 'CONNECTING' }), ikeSa(names.hub)])).toBe(false);
  });
});
