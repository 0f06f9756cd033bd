import { beforeEach, describe, expect, it } from 'vitest';
import type { LinkHint } from '../../src/control/frames.ts';
import type { LinkReport, NodeReport } from '../../src/control/report.ts';
import type { LinkId, NodeName } from '../../src/ike/connection.ts';
import { LinkBoard } from '../../src/coordinator/link-board.ts';
import { factsOf, type MediatedLink, type NodeFacts } from '../../src/coordinator/link-hints.ts';
import { edgeReport, mediatorReport } from './report-builders.ts';

const ID = 'edge1--remote' as LinkId;
const [EDGE1, REMOTE, MASTER1] = ['edge1', 'remote', 'master1'] as NodeName[] as [NodeName, NodeName, NodeName];
const end = (node: NodeName): MediatedLink['ends'][0] => ({ node, mediationId: `C=CN, O=Local Cluster, CN=${node}` });
const LINK: MediatedLink = { id: ID, ends: [end(EDGE1), end(REMOTE)], mediators: [MASTER1] };

let facts: Map<NodeName, NodeFacts>;
let board: LinkBoard;

beforeEach(() => {
  facts = new Map();
  board = new LinkBoard((node) => facts.get(node));
  board.use([LINK]);
});

function report(node: NodeName, told: NodeReport): NodeName[] {
  facts.set(node, factsOf(told));
  return [...board.changed(node)];
}

function gone(node: NodeName): NodeName[] {
  facts.delete(node);
  return [...board.changed(node)];
}

/** The hint of an end whose peer is there, registered, and has told nothing of its NAT. */
const hint = (change: Partial<LinkHint>): LinkHint => ({
  link: ID,
  mediator: 'master1',
  peerOnline: true,
  peerRegistered: true,
  peerNat: 'unknown',
  initiate: true,
  ...change,
});

const hints = (): readonly LinkHint[] => [EDGE1, REMOTE].flatMap((node) => board.hintsFor(node));

describe('a link is registered', () => {
  it('when both ends say so, and that is news for both', () => {
    report(EDGE1, edgeReport(true));
    expect(board.view(ID)?.registered).toBe(false);
    expect(report(REMOTE, edgeReport(true))).toEqual([EDGE1, REMOTE]);
    expect(hints()).toEqual([hint({ initiate: true }), hint({ initiate: false })]);
    expect(board.view(ID)?.registered).toBe(true);
  });

  it('no longer when an end is gone, or says that its registration is not up', () => {
    report(EDGE1, edgeReport(true));
    report(REMOTE, edgeReport(true));
    expect(gone(REMOTE)).toEqual([EDGE1, REMOTE]);
    report(REMOTE, edgeReport(true));
    expect(report(EDGE1, edgeReport(false))).toEqual([EDGE1, REMOTE]);
    expect(hints()).toEqual([
      hint({ mediator: null, initiate: true }),
      hint({ mediator: null, peerRegistered: false, initiate: false }),
    ]);
  });

  it('only when the mediator agrees, if it is here and has reported', () => {
    report(EDGE1, edgeReport(true));
    report(REMOTE, edgeReport(true));
    expect(report(MASTER1, mediatorReport('edge1'))).toEqual([EDGE1, REMOTE]);
    expect(board.view(ID)?.registered).toBe(false);
    report(MASTER1, mediatorReport('edge1', 'remote'));
    expect(board.view(ID)?.registered).toBe(true);
    expect(gone(MASTER1)).toEqual([]);
  });
});

describe('an end hears of its peer', () => {
  const ofPeer = (node: NodeName): Partial<LinkHint> => {
    const [{ peerOnline, peerRegistered, peerNat }] = board.hintsFor(node) as [LinkHint];
    return { peerOnline, peerRegistered, peerNat };
  };

  it('that it is away, before it has reported', () => {
    const nothing = { peerOnline: false, peerRegistered: false, peerNat: 'unknown' };
    expect([ofPeer(EDGE1), ofPeer(REMOTE)]).toEqual([nothing, nothing]);
  });

  it('that it is there but not registered, that it is registered, and that it is away again', () => {
    report(EDGE1, edgeReport(true));
    expect(report(REMOTE, edgeReport(false))).toContain(EDGE1);
    expect(ofPeer(EDGE1)).toMatchObject({ peerOnline: true, peerRegistered: false });
    expect(report(REMOTE, edgeReport(true))).toContain(EDGE1);
    expect(ofPeer(EDGE1)).toMatchObject({ peerOnline: true, peerRegistered: true });
    expect(gone(REMOTE)).toContain(EDGE1);
    expect(ofPeer(EDGE1)).toEqual({ peerOnline: false, peerRegistered: false, peerNat: 'unknown' });
  });

  it('that it is not registered when its mediator says so', () => {
    report(EDGE1, edgeReport(true));
    report(REMOTE, edgeReport(true));
    expect(report(MASTER1, mediatorReport('edge1'))).toEqual([EDGE1, REMOTE]);
    expect([ofPeer(EDGE1), ofPeer(REMOTE)]).toMatchObject([{ peerRegistered: false }, { peerRegistered: true }]);
  });

  it.each(['none', 'cone', 'symmetric', 'blocked'] as const)('what kind of NAT it has: %s', (nat) => {
    report(REMOTE, edgeReport(true));
    expect(report(REMOTE, { ...edgeReport(true), nat })).toEqual([EDGE1, REMOTE]);
    expect([ofPeer(EDGE1), ofPeer(REMOTE)]).toMatchObject([{ peerNat: nat }, { peerNat: 'unknown' }]);
    expect(report(REMOTE, { ...edgeReport(true), nat }), 'and nothing twice').toEqual([]);
  });

  it('and nobody hears of it who has no link with it', () => {
    const other = 'other' as NodeName;
    board.use([LINK, { id: 'edge1--other' as LinkId, ends: [end(EDGE1), end(other)], mediators: [MASTER1] }]);
    expect(report(REMOTE, { ...edgeReport(true), nat: 'cone' })).toEqual([EDGE1, REMOTE]);
    expect(board.hintsFor(other)).toMatchObject([{ peerOnline: false, peerNat: 'unknown' }]);
  });
});

describe('the mediator of a link', () => {
  const MASTER2 = 'master2' as NodeName;
  const at = (...mediators: readonly NodeName[]): NodeReport => {
    const told = edgeReport(true);
    const [registration] = told.connections;
    return {
      ...told,
      connections: mediators.map((mediator) => ({ ...registration!, name: `cygnet-medsrv-${mediator}` })),
    };
  };

  beforeEach(() => board.use([{ ...LINK, mediators: [MASTER1, MASTER2] }]));

  it.each<[string, readonly NodeName[], readonly NodeName[], string | null]>([
    ['the first, where both are at both', [MASTER1, MASTER2], [MASTER2, MASTER1], MASTER1],
    ['the second, where only that is common', [MASTER2], [MASTER1, MASTER2], MASTER2],
    ['none, where they are at different ones', [MASTER1], [MASTER2], null],
    ['none, where one is nowhere', [], [MASTER1, MASTER2], null],
  ])('is %s', (_what, ofEdge1, ofRemote, mediator) => {
    report(EDGE1, at(...ofEdge1));
    report(REMOTE, at(...ofRemote));
    expect(hints()).toMatchObject([{ mediator }, { mediator }]);
    expect(board.view(ID)?.registered).toBe(mediator !== null);
  });

  it('changes with the registrations, which both ends hear', () => {
    for (const node of [EDGE1, REMOTE]) report(node, at(MASTER1, MASTER2));
    expect(report(REMOTE, at(MASTER2))).toEqual([EDGE1, REMOTE]);
    expect(hints()).toEqual([
      hint({ mediator: MASTER2, initiate: true }),
      hint({ mediator: MASTER2, initiate: false }),
    ]);
    expect(report(REMOTE, at(MASTER1, MASTER2))).toEqual([EDGE1, REMOTE]);
  });

  it('changes when a mediator has lost an end, which it says itself', () => {
    for (const node of [EDGE1, REMOTE]) report(node, at(MASTER1, MASTER2));
    expect(report(MASTER1, mediatorReport('edge1'))).toEqual([EDGE1, REMOTE]);
    expect(hints()).toMatchObject([{ mediator: MASTER2, peerRegistered: true }, { mediator: MASTER2 }]);
  });
});

describe('the initiator', () => {
  const failures = (count: number): NodeReport => edgeReport(true, { [ID]: count });
  const onPath = (path: LinkReport['path']): NodeReport => {
    const told = failures(0);
    return { ...told, links: told.links.map((link) => ({ ...link, path })) };
  };

  /** Both ends tell something new at the same time. */
  function bothReport(reportOf: (node: NodeName) => NodeReport): NodeName[] {
    for (const node of [EDGE1, REMOTE]) facts.set(node, factsOf(reportOf(node)));
    return [EDGE1, REMOTE].flatMap((node) => [...board.changed(node)]);
  }

  function startWith(initiator: NodeName): void {
    if (initiator === REMOTE) report(EDGE1, failures(2));
    bothReport(() => failures(0));
    expect(board.view(ID)?.initiator).toBe(initiator);
  }

  beforeEach(() => {
    report(EDGE1, edgeReport(true));
    report(REMOTE, edgeReport(true));
  });

  it('is the other end after every failure of the one whose turn it is', () => {
    expect(report(EDGE1, failures(1))).toEqual([EDGE1, REMOTE]);
    expect(board.view(ID)?.initiator).toBe(REMOTE);
    report(EDGE1, failures(2));
    expect(board.view(ID)?.initiator).toBe(REMOTE);
    report(REMOTE, failures(1));
    expect(board.view(ID)?.initiator).toBe(EDGE1);
    report(EDGE1, failures(2));
    expect(board.view(ID)?.initiator).toBe(EDGE1);
    report(EDGE1, failures(3));
    expect(board.view(ID)?.initiator).toBe(REMOTE);
  });

  it('stays while not both ends are registered', () => {
    report(REMOTE, edgeReport(false));
    expect(report(EDGE1, failures(4))).toEqual([]);
    expect(board.view(ID)?.initiator).toBe(EDGE1);
  });

  it('begins to count anew after a success', () => {
    report(EDGE1, failures(2));
    report(REMOTE, failures(1));
    expect(board.view(ID)?.initiator).toBe(EDGE1);
    report(EDGE1, failures(0));
    expect(board.view(ID)?.initiator).toBe(EDGE1);
    report(EDGE1, failures(1));
    expect(board.view(ID)?.initiator).toBe(REMOTE);
  });

  it('does not change for what had failed before the coordinator was there', () => {
    board.use([]);
    facts.clear();
    board.use([LINK]);
    report(REMOTE, edgeReport(true));
    expect(report(EDGE1, failures(7))).toEqual([EDGE1, REMOTE]);
    expect(board.view(ID)).toEqual({ registered: true, initiator: EDGE1 });
    report(EDGE1, failures(8));
    expect(board.view(ID)?.initiator).toBe(REMOTE);
  });

  it.each([
    [EDGE1, REMOTE],
    [REMOTE, EDGE1],
  ])('is the end that has lost the tunnel which %s still shows', (holds, deserted) => {
    startWith(holds);
    bothReport(() => onPath('direct'));
    expect(new Set(report(deserted, onPath('relay')))).toEqual(new Set([EDGE1, REMOTE]));
    expect(board.view(ID)?.initiator).toBe(deserted);
  });

  it.each([
    [EDGE1, REMOTE],
    [REMOTE, EDGE1],
  ])(
    'stays %s when that end shows a new tunnel before the other one does, until the other has told more',
    (holds, other) => {
      startWith(holds);
      bothReport(() => onPath('relay'));
      expect(report(holds, onPath('direct')), 'no news for either').toEqual([]);
      expect(board.view(ID)?.initiator).toBe(holds);
      report(other, onPath('relay'));
      expect(board.view(ID)?.initiator, 'it has told since, and has none').toBe(other);
    },
  );

  it.each([
    [EDGE1, REMOTE],
    [REMOTE, EDGE1],
  ])('stays %s while nobody is known to have lost a tunnel alone', (initiator, other) => {
    startWith(initiator);
    const charonless = { ...onPath('unknown'), charon: { ...onPath('unknown').charon, connected: false } };
    const unregistered = { ...onPath('relay'), connections: edgeReport(false).connections };
    bothReport(() => onPath('direct'));
    expect(board.view(ID)?.initiator, 'both show it').toBe(initiator);
    bothReport(() => onPath('relay'));
    expect(board.view(ID)?.initiator, 'neither shows it').toBe(initiator);
    bothReport((node) => (node === other ? charonless : onPath('direct')));
    expect(board.view(ID)?.initiator, 'the charon cannot be asked').toBe(initiator);
    bothReport((node) => (node === other ? unregistered : onPath('direct')));
    expect(board.view(ID), 'not registered').toEqual({ registered: false, initiator });
  });

  it('stays the same over an apply that keeps the link, and is forgotten with it', () => {
    report(EDGE1, failures(2));
    board.use([LINK]);
    expect(board.view(ID)?.initiator).toBe(REMOTE);
    board.use([]);
    expect([board.view(ID), board.hintsFor(EDGE1)]).toEqual([undefined, []]);
    board.use([LINK]);
    expect(board.view(ID)?.initiator).toBe(EDGE1);
  });
});
