import { describe, expect, it } from 'vitest';
import {
  ALONE_AFTER_MS,
  ALONE_AT_START_MS,
  LONE_TURN_MS,
  REGISTERED_MS,
  TURN_END_MS,
  effectiveHints,
  hintsChangeInMs,
  isRegistered,
  mediatedLinks,
  type HintSource,
} from '../../src/agent/hints.ts';
import { connectionNameSchema, nodeNameSchema } from '../../src/ike/connection.ts';
import { desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { hint, linkedTo } from './links.ts';

const mesh = linkedTo('aaa', 'remote');
const saidByCoordinator = [hint('remote', { initiate: false })];

/** A turn of the lexically first end begins. */
const TURN_MS = 1000 * LONE_TURN_MS;

/** A node that was told hints, unless a change says otherwise. */
const sourceOf = (change: Partial<HintSource> = {}): HintSource => ({
  hints: saidByCoordinator,
  isUntold: false,
  channelDownMs: 0,
  hasChannelFailed: false,
  registrations: new Map([[names.medsrv, REGISTERED_MS]]),
  nowMs: TURN_MS,
  ...change,
});
const untold = { hints: undefined, isUntold: true };
const lost = (channelDownMs: number): Partial<HintSource> => ({ channelDownMs, hasChannelFailed: true });
const hintsOf = (change: Partial<HintSource>): readonly unknown[] => [
  ...effectiveHints(mesh, sourceOf(change)).values(),
];

describe('hints', () => {
  it('are the coordinator’s while it is there', () => expect(hintsOf({})).toEqual(saidByCoordinator));

  it('stay the coordinator’s for a while when it is gone', () =>
    expect(hintsOf(lost(ALONE_AFTER_MS - 1))).toEqual(saidByCoordinator));

  it.each([
    ['the channel is open', { ...untold }],
    ['the first try to open it goes on', { ...untold, channelDownMs: ALONE_AFTER_MS - 1 }],
    ['the first try has just failed', { ...untold, ...lost(ALONE_AT_START_MS - 1) }],
    ['it was told some before the channel was opened anew', { hints: undefined, ...lost(ALONE_AFTER_MS - 1) }],
  ])('are none before the coordinator has said any: %s', (_what, change) => expect(hintsOf(change)).toEqual([]));

  it.each([
    ['after 20 s', lost(ALONE_AFTER_MS)],
    ['after 20 s without an answer to the first try', { ...untold, channelDownMs: ALONE_AFTER_MS }],
    ['after a second when it has not been reached since the start', { ...untold, ...lost(ALONE_AT_START_MS) }],
  ])('are the node’s own %s', (_what, change) =>
    expect(hintsOf(change)).toEqual([hint('aaa', { initiate: false }), hint('remote', { initiate: true })]),
  );

  it.each([
    ['until shortly before its turn is over', LONE_TURN_MS - TURN_END_MS - 1, false, true],
    ['nobody at the end of it', LONE_TURN_MS - TURN_END_MS, false, false],
    ['then the other one', LONE_TURN_MS, true, false],
    ['and the first one again', 2 * LONE_TURN_MS, false, true],
  ])(
    'give turns by the clock, however long each node has been alone: %s',
    (_what, intoMs, towardsAaa, towardsRemote) => {
      for (const aloneMs of [0, 7000])
        expect(hintsOf({ ...lost(ALONE_AFTER_MS + aloneMs), nowMs: TURN_MS + intoMs })).toEqual([
          hint('aaa', { initiate: towardsAaa }),
          hint('remote', { initiate: towardsRemote }),
        ]);
    },
  );

  it.each([
    ['never while the coordinator is there', {}, Infinity],
    ['when the node will be alone', lost(ALONE_AFTER_MS - 300), 300],
    ['when one that has booted will be', { ...untold, ...lost(ALONE_AT_START_MS - 300) }, 300],
    ['a second later while the first try may fail', { ...untold, channelDownMs: 5000 }, ALONE_AT_START_MS],
    ['at the end of a turn', lost(ALONE_AFTER_MS), LONE_TURN_MS - TURN_END_MS],
    ['at the beginning of the next', { ...lost(ALONE_AFTER_MS), nowMs: TURN_MS - 400 }, 400],
  ])('may change with time: %s', (_what, change, inMs) => expect(hintsChangeInMs(sourceOf(change))).toBe(inMs));
});

describe('the mediator of a node on its own', () => {
  const alone = sourceOf({ ...untold, ...lost(ALONE_AFTER_MS) });
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
    const registrations = new Map(up.map((name) => [name, REGISTERED_MS]));
    const source = { ...alone, registrations };
    expect(effectiveHints(twoWays, source).get('edge1--remote')).toEqual(hint('remote', { mediator }));
  });

  it('is none until the peer may have registered as well, and then is looked at again', () => {
    const source = { ...alone, registrations: new Map([[names.medsrv, REGISTERED_MS - 200]]) };
    expect(effectiveHints(state, source).get('edge1--remote')).toEqual(hint('remote', { mediator: null }));
    expect(hintsChangeInMs(source)).toBe(200);
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
