import { describe, expect, it } from 'vitest';
import { ALONE_AFTER_MS, LONE_TURN_MS, effectiveHints, isRegistered, mediatedLinks } from '../../src/agent/hints.ts';
import { connectionNameSchema, nodeNameSchema } from '../../src/ike/connection.ts';
import { desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { hint, linkedTo } from './links.ts';

const mesh = linkedTo('aaa', 'remote');
const registered = [ikeSa(names.medsrv)];
const saidByCoordinator = [hint('remote', { initiate: false })];

describe('hints', () => {
  it('are the coordinator’s while it is there', () => {
    const source = { hints: saidByCoordinator, channelDownMs: 0 };
    expect([...effectiveHints(mesh, registered, source).values()]).toEqual(saidByCoordinator);
  });

  it('stay the coordinator’s for a while when it is gone', () => {
    const source = { hints: saidByCoordinator, channelDownMs: ALONE_AFTER_MS - 1 };
    expect([...effectiveHints(mesh, registered, source).values()]).toEqual(saidByCoordinator);
  });

  it('are none before the coordinator has said any', () =>
    expect(effectiveHints(mesh, registered, { hints: undefined, channelDownMs: 5 }).size).toBe(0));

  it.each([
    ['the lexically first end initiates', 20_000, false, true],
    ['until its turn is over', 20_000 + LONE_TURN_MS - 1, false, true],
    ['then the other one', 20_000 + LONE_TURN_MS, true, false],
    ['and the first one again', 20_000 + 2 * LONE_TURN_MS, false, true],
  ])('are the node’s own after 20 s alone: %s', (_what, channelDownMs, towardsAaa, towardsRemote) => {
    const source = { hints: saidByCoordinator, channelDownMs };
    expect([...effectiveHints(mesh, registered, source).values()]).toEqual([
      hint('aaa', { initiate: towardsAaa }),
      hint('remote', { initiate: towardsRemote }),
    ]);
  });
});

describe('the mediator of a node on its own', () => {
  const alone = { hints: undefined, channelDownMs: ALONE_AFTER_MS };
  const second = connectionNameSchema.parse('cygnet-medsrv-master2');
  const viaSecond = mediatedPeer({
    name: connectionNameSchema.parse('cygnet-peer-remote--master2'),
    mediatedBy: second,
  });
  const state = desired(
    medsrv(),
    medsrv({ name: second, mediator: nodeNameSchema.parse('master2') }),
    mediatedPeer(),
    viaSecond,
  );
  const [link] = state.links;
  const twoWays = {
    ...state,
    links: [{ ...link!, direct: [...link!.direct, { ...link!.direct[0]!, connection: viaSecond.name }] }],
  };

  it.each([
    ['the first one, when it is registered at both', [names.medsrv, second], 'master1'],
    ['the second one, when it is registered only there', [second], 'master2'],
    ['none, when it is registered nowhere', [], null],
  ])('is %s', (_what, up, mediator) => {
    const ikeSas = up.map((name) => ikeSa(name));
    expect(effectiveHints(twoWays, ikeSas, alone).get('edge1--remote')).toEqual(hint('remote', { mediator }));
  });

  it('has a connection of its own for each of them', () =>
    expect(mediatedLinks(twoWays)[0]?.ways.map(({ mediator, connection }) => [mediator, connection])).toEqual([
      ['master1', names.peer],
      ['master2', viaSecond.name],
    ]));
});

describe('a mediated link', () => {
  it('is one whose direct path is a mediated connection', () => {
    expect(mediatedLinks(desired(medsrv(), mediatedPeer(), spoke()))).toMatchObject([
      {
        link: { id: 'edge1--remote' },
        ways: [
          {
            mediator: 'master1',
            connection: names.peer,
            child: { name: 'edge1--remote' },
            mediatedBy: names.medsrv,
          },
        ],
      },
    ]);
    expect(mediatedLinks(desired(spoke()))).toEqual([]);
  });

  it('can be set up only while this node is registered', () => {
    expect(isRegistered(names.medsrv, [ikeSa(names.medsrv)])).toBe(true);
    expect(isRegistered(names.medsrv, [ikeSa(names.medsrv, { state: 'CONNECTING' }), ikeSa(names.hub)])).toBe(false);
  });
});
