import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatedEvidence } from '../../src/paths/evidence-board.ts';
import type { EvidenceCode } from '../../src/paths/evidence-rules.ts';
import { DirectPaths, type DirectPathsInput, type DirectWishes } from '../../src/agent/direct-paths.ts';
import { withSecondRegistrations } from '../../src/agent/second-registration.ts';
import type { LinkHint } from '../../src/control/frames.ts';
import { connectionNameSchema, nodeNameSchema } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import { evidence } from '../paths/evidence-builder.ts';
import { child, childSa, ikeSa, mediatedPeer, medsrv, names } from '../reconcile/builders.ts';
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

const look = (paths: DirectPaths, change: Partial<DirectPathsInput> = {}): DirectWishes =>
  paths.observed({
    desired: mesh,
    ikeSas: [registered],
    hints: allHints,
    isSilent: () => false,
    isProven: () => true,
    ownNat: 'unknown',
    logged: () => undefined,
    ...change,
  });
const turnsOf = (
  paths: DirectPaths,
  ikeSas: readonly IkeSa[] = [registered],
  hints: ReadonlyMap<string, LinkHint> = allHints,
): string[] => [...look(paths, { ikeSas, hints }).turns];

describe('a direct path that goes silent', () => {
  const onlyFirst = linkedTo('p1');
  const tunnel = { ...upSa('p1'), uniqueId: 5 };
  const another = { ...upSa('p1'), uniqueId: 6 };
  const lookAt = (paths: DirectPaths, ikeSas: readonly IkeSa[], isSilent = false): DirectWishes =>
    look(paths, { desired: onlyFirst, ikeSas: [registered, ...ikeSas], isSilent: () => isSilent });
  const lostLinks = ({ lost }: DirectWishes): string[] => lost.map(({ link }) => link.id);

  it('is given up, and told as lost, in every round until its SAs are gone', () => {
    const { paths } = start();
    expect(lookAt(paths, [tunnel])).toMatchObject({ abandon: new Set(), lost: [] });
    const first = lookAt(paths, [tunnel], true);
    expect([first.abandon, lostLinks(first)]).toEqual([new Set([5]), ['edge1--p1']]);
    for (const isSilent of [true, false]) {
      const later = lookAt(paths, [tunnel], isSilent);
      expect([later.abandon, lostLinks(later), later.turns]).toEqual([new Set([5]), ['edge1--p1'], new Set()]);
    }
    expect(lookAt(paths, [])).toMatchObject({ abandon: new Set(), lost: [] });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting', failures: 0, lost: true });
  });

  it('has its turn again after a second and a half', () => {
    const { paths, clock } = start();
    lookAt(paths, [tunnel]);
    lookAt(paths, [tunnel], true);
    expect(lookAt(paths, [])).toMatchObject({ turns: new Set(), changesInMs: 1500 });
    clock.advance(1500);
    expect(lookAt(paths, []).turns).toEqual(new Set([turn('p1')]));
  });

  it('is up again by another SA, which is not given up', () => {
    const { paths } = start();
    lookAt(paths, [tunnel]);
    lookAt(paths, [tunnel], true);
    expect(lookAt(paths, [tunnel, another])).toMatchObject({ abandon: new Set(), lost: [] });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'up' });
  });

  it('has failed like any other try when nothing ever came through', () => {
    const { paths } = start();
    const unproven = { desired: onlyFirst, ikeSas: [registered, tunnel], isProven: () => false };
    expect(look(paths, unproven).worked).toEqual(new Set());
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'up', proven: false });
    const silent = look(paths, { ...unproven, isSilent: () => true });
    expect([silent.abandon, lostLinks(silent)]).toEqual([new Set([5]), ['edge1--p1']]);
    look(paths, { desired: onlyFirst });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting', failures: 1, lost: false });
  });

  it('is asked about with its own IKE SAs only, and only while it is up', () => {
    const asked: unknown[] = [];
    const { paths } = start();
    const isSilent: DirectPathsInput['isSilent'] = ({ id }, ikeSas) => {
      asked.push([id, ikeSas.map(({ name, uniqueId }) => `${name} ${uniqueId}`)]);
      return false;
    };
    look(paths, { ikeSas: [registered, tunnel, upSa('p2'), sa('p3', 'CREATED')], isSilent });
    expect(asked).toEqual([
      ['edge1--p1', ['cygnet-peer-p1 5']],
      ['edge1--p2', ['cygnet-peer-p2 1']],
    ]);
  });
});

describe('a direct path that is given up on command', () => {
  const onlyFirst = linkedTo('p1');
  const tunnel = { ...upSa('p1'), uniqueId: 5 };
  const lookAt = (paths: DirectPaths, ...ikeSas: readonly IkeSa[]): DirectWishes =>
    look(paths, { desired: onlyFirst, ikeSas: [registered, ...ikeSas] });
  const toldOf = ({ lost }: DirectWishes): unknown =>
    lost.map(({ link, ikeSas }) => [link.id, ikeSas.map(({ uniqueId }) => uniqueId)]);

  function reconnecting(): ReturnType<typeof start> {
    const started = start();
    lookAt(started.paths, tunnel);
    started.paths.reconnect('edge1--p1');
    return started;
  }

  it('is told to the peer again and again, and abandoned only when the peer has not ended it after two seconds', () => {
    const { paths, clock } = reconnecting();
    for (const changesInMs of [300, 300, 300, 300, 300, 300, 200]) {
      const wishes = lookAt(paths, tunnel);
      expect(wishes).toMatchObject({ abandon: new Set(), turns: new Set(), changesInMs });
      expect(toldOf(wishes)).toEqual([['edge1--p1', [5]]]);
      clock.advance(changesInMs);
    }
    expect(lookAt(paths, tunnel)).toMatchObject({ abandon: new Set([5]), changesInMs: Infinity });
  });

  it('is told no more when the peer has ended it, and has its turn after a second and a half', () => {
    const { paths, clock } = reconnecting();
    lookAt(paths, tunnel);
    expect(lookAt(paths)).toMatchObject({ abandon: new Set(), lost: [], turns: new Set(), changesInMs: 1500 });
    clock.advance(1500);
    expect(lookAt(paths).turns).toEqual(new Set([turn('p1')]));
  });

  it('is the one that is up at the next look, and none after that', () => {
    const { paths } = start();
    lookAt(paths);
    paths.reconnect('edge1--p1');
    lookAt(paths);
    expect(lookAt(paths, tunnel).lost).toEqual([]);
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'up' });
  });

  it('is none of another link', () => {
    const { paths } = start();
    paths.reconnect('edge1--p2');
    const { lost } = look(paths, { ikeSas: [registered, tunnel, upSa('p2')] });
    expect(lost.map(({ link }) => link.id)).toEqual(['edge1--p2']);
  });
});

describe('a direct path of several mediators', () => {
  const viaSecond = { ...mediatedPeer(), name: connectionNameSchema.parse('cygnet-peer-p1--master2') };
  const second = connectionNameSchema.parse('cygnet-medsrv-master2');
  const single = linkedTo('p1');
  const [link] = single.links;
  const twoWays: DesiredState = {
    ...single,
    connections: [
      ...single.connections,
      medsrv({ name: second, mediator: nodeNameSchema.parse('master2') }),
      { ...viaSecond, mediatedBy: second, children: [child('edge1--p1')] },
    ],
    links: [{ ...link!, direct: [...link!.direct, { ...link!.direct[0]!, connection: viaSecond.name }] }],
  };
  const throughSecond = `initiate ${viaSecond.name}/edge1--p1`;
  const hintAt = (mediator: string | null): ReadonlyMap<string, LinkHint> =>
    new Map([['edge1--p1', hint('p1', { mediator })]]);
  const both = [registered, ikeSa(second)];

  it.each<[string, string | null, readonly string[]]>([
    ['the one where both ends are', 'master1', [turn('p1')]],
    ['the other one, when both are only there', 'master2', [throughSecond]],
    ['none, when they are at none', null, []],
    ['none that it does not know', 'master3', []],
  ])('is set up through %s', (_what, mediator, turns) =>
    expect([...look(start().paths, { desired: twoWays, ikeSas: both, hints: hintAt(mediator) }).turns]).toEqual(turns),
  );

  it('is not set up through one where this node is not registered', () =>
    expect(look(start().paths, { desired: twoWays, hints: hintAt('master2') }).turns.size).toBe(0));

  it('is up whichever way the peer has come, and given up with all its SAs', () => {
    const { paths } = start();
    const came = ikeSa(viaSecond.name, { uniqueId: 8, childSas: [childSa('edge1--p1')] });
    const change = { desired: twoWays, ikeSas: [...both, came], hints: hintAt('master1') };
    expect(look(paths, change).turns.size).toBe(0);
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'up' });
    const own = ikeSa('cygnet-peer-p1', { uniqueId: 7, childSas: [childSa('edge1--p1')] });
    const silent = look(paths, { ...change, ikeSas: [...both, came, own], isSilent: () => true });
    expect(silent.abandon).toEqual(new Set([7, 8]));
  });
});

/** charon's log has shown this, at this time. */
const says =
  (code: EvidenceCode, atMs = 0) =>
  (): DatedEvidence => ({ evidence: evidence(code), sinceMs: atMs, atMs });

describe('a try that charon is stuck in', () => {
  function tried(): ReturnType<typeof start> {
    const started = start();
    look(started.paths);
    started.paths.initiated('edge1--p1');
    started.clock.advance(500);
    return started;
  }

  it('has failed as soon as charon says so', () => {
    const { paths, clock } = tried();
    const pending = [registered, sa('p1', 'CREATED')];
    look(paths, { ikeSas: pending });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'trying' });
    look(paths, { ikeSas: pending, logged: says('stuck-in-charon', clock.monotonicMs()) });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting', failures: 1 });
    expect(paths.causeOf('edge1--p1')).toBe('stuck-in-charon');
  });

  it('is none by what charon said before it, or says of something else', () => {
    const { paths, clock } = tried();
    look(paths, { logged: says('stuck-in-charon', clock.monotonicMs() - 501) });
    look(paths, { logged: says('checks-failed', clock.monotonicMs()) });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'trying' });
  });
});

describe('a turn that charon does not let this end take', () => {
  const hung = [registered, sa('p1', 'CREATED')];
  const first = (paths: DirectPaths): unknown => paths.paths.get('edge1--p1');

  /** The path has worked and is lost, and its next try hangs. */
  function lostAndHung(hints = allHints): { readonly paths: DirectPaths; readonly clock: ManualClock } {
    const started = start();
    const { paths, clock } = started;
    look(paths, { ikeSas: [registered, upSa('p1')] });
    look(paths, { ikeSas: hung, hints });
    clock.advance(5999);
    look(paths, { ikeSas: hung, hints });
    expect(first(paths)).toMatchObject({ phase: 'idle', failures: 0 });
    clock.advance(1);
    look(paths, { ikeSas: hung, hints });
    return started;
  }

  it('counts as a failure as soon as the earlier try is known to hang, so that the other end has its turn', () => {
    const { paths } = lostAndHung();
    expect(first(paths)).toMatchObject({ phase: 'resting', failures: 1, lost: true });
  });

  it('is none while it is the turn of the other end, or the two have nowhere to meet', () => {
    for (const change of [{ initiate: false }, { mediator: null }]) {
      const { paths } = lostAndHung(new Map([['edge1--p1', hint('p1', change)]]));
      expect(first(paths)).toMatchObject({ phase: 'idle', failures: 0 });
    }
  });
});

describe('a peer that charon is held up with', () => {
  const hung = [registered, sa('p1', 'CREATED')];
  const heldAfterHanging = (forMs: number, code?: EvidenceCode): ReadonlySet<string> => {
    const { paths, clock } = start();
    look(paths, { ikeSas: [registered, upSa('p1')] });
    const logged = code === undefined ? () => undefined : says(code, clock.monotonicMs());
    look(paths, { ikeSas: hung, logged });
    clock.advance(forMs);
    return look(paths, { ikeSas: hung, logged }).held;
  };

  it('is told when charon says so', () => {
    const { paths, clock } = start();
    expect(look(paths).held).toEqual(new Set());
    paths.initiated('edge1--p1');
    const logged: DirectPathsInput['logged'] = (connection) =>
      connection === 'cygnet-peer-p1' ? says('stuck-in-charon', clock.monotonicMs())() : undefined;
    expect(look(paths, { ikeSas: hung, logged }).held).toEqual(new Set(['cygnet-peer-p1']));
  });

  it('is told when its next turn comes and charon still hangs at the last try, without a word about checks', () => {
    expect(heldAfterHanging(18_000)).toEqual(new Set(['cygnet-peer-p1']));
    expect(heldAfterHanging(17_999), 'it may just be slow').toEqual(new Set());
    expect(heldAfterHanging(18_000, 'checks-failed')).toEqual(new Set());
  });

  const again = withSecondRegistrations(linkedTo('p1'), new Set(['cygnet-peer-p1']));
  const secondTurn = 'initiate cygnet-peer-p1.again/edge1--p1';
  const isRegisteredTwice = [registered, ikeSa('cygnet-medsrv-master1.again')];

  it('is asked for through the second registration, whatever hangs in the first', () => {
    const turnsWith = (...ikeSas: IkeSa[]): string[] => [...look(start().paths, { desired: again, ikeSas }).turns];
    expect(turnsWith(...isRegisteredTwice)).toEqual([secondTurn]);
    expect(turnsWith(registered)).toEqual([turn('p1')]);
    const { paths, clock } = start();
    const ikeSas = [...isRegisteredTwice, sa('p1', 'CREATED')];
    expect(look(paths, { desired: again, ikeSas }).turns).toEqual(new Set([secondTurn]));
    clock.advance(6000);
    expect(look(paths, { desired: again, ikeSas }).turns, 'and it passes no turn on').toEqual(new Set([secondTurn]));
  });

  it('is not asked for again while that hangs as well', () => {
    const { paths, clock } = start();
    const ikeSas = [...isRegisteredTwice, sa('p1.again', 'CREATED')];
    look(paths, { desired: again, ikeSas });
    clock.advance(6000);
    expect(look(paths, { desired: again, ikeSas }).turns).toEqual(new Set());
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting', failures: 1 });
  });
});

describe('the cause', () => {
  const TRIED_AT_MS = new ManualClock().monotonicMs();
  const causeAfter = (change: Partial<DirectPathsInput>): string | undefined => {
    const { paths, clock } = start();
    look(paths);
    paths.initiated('edge1--p1');
    clock.advance(3000);
    look(paths, change);
    return paths.causeOf('edge1--p1');
  };
  const hintOf = (change: Partial<LinkHint>): Partial<DirectPathsInput> => ({
    hints: new Map([['edge1--p1', hint('p1', change)]]),
  });

  it.each<[string, Partial<DirectPathsInput>, string]>([
    ['this node is not registered', { ikeSas: [] }, 'mediator-unreachable'],
    [
      'the coordinator says that the peer is away',
      hintOf({ peerOnline: false, peerRegistered: false }),
      'peer-offline',
    ],
    ['the coordinator says that the peer is not registered', hintOf({ peerRegistered: false }), 'mediator-unreachable'],
    ['the two NATs make it so', { ...hintOf({ peerNat: 'symmetric' }), ownNat: 'cone' }, 'symmetric-nat'],
    ['charon’s log proves it', { logged: says('auth-failed', TRIED_AT_MS) }, 'auth-failed'],
    ['charon’s log has proved it of an older try', { logged: says('auth-failed', TRIED_AT_MS - 1) }, 'udp-blocked'],
    ['nothing else is known', {}, 'udp-blocked'],
  ])('is told when %s', (_what, change, cause) => expect(causeAfter(change)).toBe(cause));

  it('of a link is what charon’s log proves of its own connection', () => {
    const logged: DirectPathsInput['logged'] = (connection) =>
      connection === 'cygnet-peer-p2' ? says('no-proposal', TRIED_AT_MS)() : undefined;
    expect(causeAfter({ logged })).toBe('udp-blocked');
  });

  /** The peer has set up a tunnel through which nothing ever came. */
  function failedByPeer(paths: DirectPaths): void {
    const change = { ikeSas: [registered, upSa('p1')], isProven: () => false };
    look(paths, change);
    look(paths, { ...change, isSilent: () => true });
    look(paths);
  }

  it('is what charon’s log has proved in the last five minutes, at an end that does not initiate', () => {
    const { paths, clock } = start();
    failedByPeer(paths);
    const atMs = clock.monotonicMs();
    clock.advance(300_000);
    look(paths, { logged: says('auth-failed', atMs) });
    expect(paths.causeOf('edge1--p1')).toBe('auth-failed');
    clock.advance(1);
    look(paths, { logged: says('auth-failed', atMs) });
    expect(paths.causeOf('edge1--p1')).not.toBe('auth-failed');
  });

  it('of a link that came back is its own: the tries of the old one are forgotten', () => {
    const { paths, clock } = start();
    look(paths);
    const atMs = clock.monotonicMs();
    clock.advance(1000);
    paths.initiated('edge1--p1');
    look(paths, { desired: linkedTo('p2') });
    failedByPeer(paths);
    look(paths, { logged: says('auth-failed', atMs) });
    expect(paths.causeOf('edge1--p1')).toBe('auth-failed');
  });

  it('is none before anything has failed, nor while the path is up', () => {
    const { paths } = start();
    look(paths);
    expect(paths.causeOf('edge1--p1')).toBeUndefined();
    look(paths, { ikeSas: [registered, upSa('p1')], logged: says('auth-failed') });
    expect(paths.causeOf('edge1--p1')).toBeUndefined();
  });

  it('makes the rest after the next failure as long as it has to be', () => {
    const { paths, clock } = start();
    const hopeless = { ...hintOf({ peerNat: 'symmetric' }), ownNat: 'symmetric' as const };
    const fail = (): DirectWishes => {
      look(paths, hopeless);
      paths.initiated('edge1--p1');
      clock.advance(3000);
      return look(paths, hopeless);
    };
    expect(fail().changesInMs, 'nothing had failed yet').toBeLessThanOrEqual(4000);
    clock.advance(4000);
    expect(fail().changesInMs).toBeGreaterThanOrEqual(1_200_000);
  });
});

describe('another network of this node', () => {
  it('lets a path that rests have its turn at once, and no other', () => {
    const { paths, clock } = start();
    look(paths);
    paths.initiated('edge1--p1');
    clock.advance(3000);
    look(paths, { ikeSas: [registered, upSa('p2')] });
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'resting' });
    paths.networkChanged();
    expect(paths.paths.get('edge1--p1')).toMatchObject({ phase: 'idle', failures: 0 });
    expect(paths.paths.get('edge1--p2')).toMatchObject({ phase: 'up' });
    const { turns } = look(paths, { ikeSas: [registered, upSa('p2')] });
    expect(turns).toContain(turn('p1'));
    expect(turns).not.toContain(turn('p2'));
  });
});

describe('a direct path has its turn', () => {
  it('when both ends are registered and this one initiates', () => {
    const hints = new Map([
      ['edge1--p1', hint('p1')],
      ['edge1--p2', hint('p2', { mediator: null })],
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

  it('before those that have failed more often', () => {
    const { paths, clock } = start();
    const failed = (peer: string): void => {
      paths.initiated(`edge1--${peer}`);
      clock.advance(3000);
      look(paths, { hints: new Map() });
      clock.advance(300_000);
      look(paths, { hints: new Map() });
    };
    look(paths, { hints: new Map() });
    for (const peer of ['p1', 'p1', 'p2', 'p3']) failed(peer);
    expect(['p1', 'p2', 'p3', 'p4'].map((peer) => paths.paths.get(`edge1--${peer}`))).toMatchObject(
      [2, 1, 1, 0].map((failures) => ({ phase: 'idle', failures })),
    );
    expect(turnsOf(paths)).toEqual(['p4', 'p5', 'p6', 'p2'].map(turn));
    for (const peer of ['p4', 'p5', 'p6']) paths.initiated(`edge1--${peer}`);
    expect(turnsOf(paths)).toEqual([turn('p2')]);
  });

  it('with those counted that the other end has begun', () => {
    const begun = ['p1', 'p2', 'p3'].map((peer) => sa(peer, 'CONNECTING'));
    expect(turnsOf(start().paths, [registered, ...begun])).toHaveLength(1);
  });

  it.each([
    { by: 'this end', initiator: true, changesInMs: 20_000 },
    { by: 'the other end', initiator: false, changesInMs: 6000 },
  ])(
    'has a place as long as the set-ups of this node take, not those by another: $by',
    ({ initiator, changesInMs }) => {
      const { paths, clock } = start();
      look(paths);
      paths.initiated('edge1--p1');
      clock.advance(5000);
      look(paths, { ikeSas: [registered, { ...upSa('p1'), initiator }] });
      expect(look(paths, { ikeSas: [registered, { ...upSa('p1'), initiator }, sa('p2', 'CREATED')] })).toMatchObject({
        changesInMs,
      });
    },
  );

  it('when four others hang: what has failed holds no place', () => {
    const { paths, clock } = start();
    const hanging = ['p1', 'p2', 'p3', 'p4'];
    turnsOf(paths);
    for (const peer of hanging) paths.initiated(`edge1--${peer}`);
    const created = [registered, ...hanging.map((peer) => sa(peer, 'CREATED'))];
    expect(look(paths, { ikeSas: created })).toMatchObject({ turns: new Set(), changesInMs: 6000 });
    clock.advance(6000);
    expect(turnsOf(paths, created)).toEqual(['p5', 'p6'].map(turn));
  });

  it('when the other ends of four have begun what hangs', () => {
    const { paths, clock } = start();
    const hanging = ['p1', 'p2', 'p3', 'p4'].map((peer) => sa(peer, 'CREATED'));
    const ikeSas = [registered, ...hanging];
    expect(look(paths, { ikeSas })).toMatchObject({ turns: new Set(), changesInMs: 6000 });
    clock.advance(6000);
    // Not those that hang: charon would make a second IKE SA of each.
    expect(look(paths, { ikeSas })).toMatchObject({ turns: new Set(['p5', 'p6'].map(turn)) });
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
    expect(paths.paths.get('edge1--p1')).toEqual({ phase: 'up', failures: 0, lost: false, proven: true });
  });

  it('without a back-off once packets have come through its tunnel', () => {
    const { paths } = start();
    expect(look(paths, { ikeSas: [registered, upSa('p1')] }).worked).toEqual(new Set([turn('p1')]));
    expect(look(paths, { ikeSas: [registered] }).worked).toEqual(new Set());
  });

  it('again while it is up with other selectors than it should have', () => {
    const { paths } = start();
    const old = { ...upSa('p1'), childSas: [childSa('edge1--p1', { remoteTs: ['10.0.0.0/8'] })] };
    expect(turnsOf(paths, [registered, old], new Map([['edge1--p1', hint('p1')]]))).toEqual([turn('p1')]);
  });

  it('is forgotten with its link', () => {
    const { paths } = start();
    turnsOf(paths);
    look(paths, { desired: linkedTo('p2') });
    expect([...paths.paths.keys()]).toEqual(['edge1--p2']);
  });

  it('never with more than four whose outcome is open, nor beside a set-up, whatever is initiated, seen and lost', () => {
    const states = fc.constantFrom('none', 'CREATED', 'CONNECTING', 'up');
    const rounds = fc.array(fc.tuple(fc.tuple(states, states, states, states, states, states), fc.nat(20_000)));
    fc.assert(
      fc.property(rounds, (history) => {
        const { paths, clock } = start();
        const pendingSinceMs = new Map<string, number>();
        for (const [seen, afterMs] of history) {
          clock.advance(afterMs);
          const nowMs = clock.monotonicMs();
          const ikeSas = peers.flatMap((peer, index) => {
            const state = seen[index]!;
            if (state === 'none') return [];
            return state === 'up' ? [upSa(peer)] : [sa(peer, state)];
          });
          const turns = turnsOf(paths, [registered, ...ikeSas]);
          const pending = peers.filter((_peer, index) => ['CREATED', 'CONNECTING'].includes(seen[index]!));
          for (const peer of peers) {
            if (!pending.includes(peer)) pendingSinceMs.delete(peer);
            else if (!pendingSinceMs.has(peer)) pendingSinceMs.set(peer, nowMs);
          }
          const isOpen = (peer: string): boolean =>
            nowMs - (pendingSinceMs.get(peer) ?? -Infinity) < 6000 ||
            paths.paths.get(`edge1--${peer}`)?.phase === 'trying';
          expect(turns.length).toBeLessThanOrEqual(Math.max(0, 4 - peers.filter(isOpen).length));
          for (const peer of pending) expect(turns).not.toContain(turn(peer));
          for (const peer of peers) if (turns.includes(turn(peer))) paths.initiated(`edge1--${peer}`);
        }
      }),
    );
  });
});
