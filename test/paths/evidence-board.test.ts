import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { connectionNameSchema, type Connection } from '../../src/ike/connection.ts';
import { EvidenceBoard } from '../../src/paths/evidence-board.ts';
import type { CharonLogLine } from '../../src/paths/evidence.ts';
import { STRONGSWAN_VERSIONS } from '../lab/strongswan.ts';
import { mediatedPeer, medsrv, spoke } from '../reconcile/builders.ts';
import { capturedLines } from './captured-log.ts';

const named = (name: string) => connectionNameSchema.parse(name);
const MEDSRV = named('cygnet-med-master1');
const TUNNEL = named('cygnet-left--right');
const peerOf = (node: string, change: { readonly at?: typeof MEDSRV } = {}): Connection =>
  mediatedPeer({
    name: named(`cygnet-peer-${node}`),
    mediatedBy: change.at ?? MEDSRV,
    mediationPeer: `C=CN, O=Local Cluster, CN=${node}`,
  });
/** What the fixtures' nodes have loaded. */
const CONNECTIONS = [{ ...spoke(), name: TUNNEL }, medsrv({ name: MEDSRV }), peerOf('remote'), peerOf('edge1')];

let board: EvidenceBoard;
beforeEach(() => {
  board = new EvidenceBoard();
  board.keep(CONNECTIONS);
});

/** `CODE by SOURCE since MS, last at MS` */
function told(connection: string): string {
  const latest = board.latest(connection);
  if (latest === undefined) return 'nothing';
  const { evidence, sinceMs, atMs } = latest;
  return `${evidence.code} by ${evidence.source} since ${sinceMs}, last at ${atMs}`;
}

interface Said {
  readonly name?: string;
  readonly id?: number;
  readonly at?: number;
}

function say(msg: string, { name = TUNNEL, id = 1, at = 0 }: Said = {}): void {
  board.read({ group: 'IKE', 'ikesa-name': name, 'ikesa-uniqueid': id, msg }, at);
}

describe.each(STRONGSWAN_VERSIONS)('after what a charon of strongSwan %s said', (version) => {
  const lines = capturedLines(version);
  let readMs = -1;
  beforeEach(() => {
    readMs = -1;
  });
  /** Goes on with a scenario up to a time. */
  const replay = (scenario: string, end: string, untilMs = Infinity): void => {
    for (const one of lines) {
      const isNext = one.scenario === scenario && one.end === end && one.ms > readMs && one.ms <= untilMs;
      if (isNext) board.read(one, one.ms);
    }
    readMs = untilMs;
  };

  it.each([
    ['a wrong secret', 'left', 'auth-failed by peer'],
    ['a wrong secret', 'right', 'auth-failed by own'],
    ['a certificate that the initiator does not trust', 'right', 'auth-failed by peer'],
    ['a trusted certificate of another CA than the one required', 'left', 'auth-failed by own'],
    ['ESP proposals that do not fit', 'right', 'no-proposal by own'],
    ['selectors that do not fit', 'left', 'ts-unacceptable by peer'],
    ['a responder that is not there', 'left', 'peer-offline by peer'],
  ])('%s: %s knows %s', (scenario, end, expected) => {
    replay(scenario, end);
    expect(told(TUNNEL)).toBe(`${expected} since 0, last at 0`);
  });

  it('quotes the cause, not what follows from it', () => {
    replay('a certificate that the responder does not trust', 'right');
    expect(board.latest(TUNNEL)?.evidence.quote).toBe(
      'no issuer certificate found for "C=CN, O=Local Cluster, CN=left"',
    );
  });

  it('a peer that is not registered: knows it until the peer is back, and while the next try is queued', () => {
    replay('a peer that is not registered', 'edge1', 2100);
    expect(told('cygnet-peer-remote')).toBe('peer-offline by mediator since 0, last at 0');
    replay('a peer that is not registered', 'edge1');
    expect(told('cygnet-peer-remote')).toBe('nothing');
  });

  it.each(['edge1', 'remote'])('a mediated set-up that works: %s knows nothing', (end) => {
    replay('a mediated set-up that works', end);
    for (const { name } of CONNECTIONS) expect(told(name)).toBe('nothing');
  });

  it('no way between the two: knows it from the checks, and no more once there is a way', () => {
    replay('no way between the two', 'edge1', 3000);
    expect(told('cygnet-peer-remote')).toMatch(/^checks-failed by own since \d\d, last at \d\d$/);
    replay('no way between the two', 'edge1', 79_000);
    expect(told('cygnet-peer-remote')).toMatch(/^checks-failed by own since \d\d, last at 78\d{3}$/);
    replay('no way between the two', 'edge1');
    expect(told('cygnet-peer-remote')).toBe('nothing');
  });

  it('a mediator that does not reach the peer: knows that charon is stuck from the second try on', () => {
    replay('a mediator that does not reach the peer', 'edge1');
    expect(told('cygnet-peer-remote')).toMatch(/^stuck-in-charon by own since \d{5}, last at \d{5}$/);
  });

  it('a mediator that is not there: knows it of the mediation connection and of the peer', () => {
    replay('a mediator that is not there', 'remote');
    expect(told(MEDSRV)).toMatch(/^peer-offline by peer since \d{5}/);
    expect(told('cygnet-peer-edge1')).toMatch(/^stuck-in-charon by own since \d{5}/);
  });
});

it("an answer that overtakes the mediator's confirmation: knows it at once, until the peer has set the tunnel up", () => {
  const lines = capturedLines('5.9').filter(({ scenario, end }) => scenario.startsWith('an answer') && end === 'edge1');
  for (const one of lines.filter(({ ms }) => ms < 5000)) board.read(one, one.ms);
  expect(told('cygnet-peer-remote')).toMatch(/^stuck-in-charon by own since \d\d?, last at \d{1,4}$/);
  for (const one of lines.filter(({ ms }) => ms >= 5000)) board.read(one, one.ms);
  expect(told('cygnet-peer-remote')).toBe('nothing');
});

describe('time', () => {
  it('is that of the first line with the same code, through any number of tries', () => {
    say('received TS_UNACCEPTABLE notify, no CHILD_SA built', { id: 1, at: 1000 });
    say('IKE_SA cygnet-left--right[2] established between a...b', { id: 2, at: 5000 });
    say('received TS_UNACCEPTABLE notify, no CHILD_SA built', { id: 2, at: 5001 });
    expect(told(TUNNEL)).toBe('ts-unacceptable by peer since 1000, last at 5001');
    expect(board.latest(TUNNEL)?.evidence.ikeSaId).toBe(2);
  });

  it('begins anew with another code, and after the connection was up', () => {
    say('received TS_UNACCEPTABLE notify, no CHILD_SA built', { at: 1000 });
    say('received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built', { at: 2000 });
    expect(told(TUNNEL)).toBe('no-proposal by peer since 2000, last at 2000');
    say('CHILD_SA cygnet-left--right{1} established with SPIs 1_i 2_o and TS a === b', { at: 3000 });
    expect(told(TUNNEL)).toBe('nothing');
    say('received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built', { at: 4000 });
    expect(told(TUNNEL)).toBe('no-proposal by peer since 4000, last at 4000');
  });
});

describe('is forgotten', () => {
  it('with the IKE SA of a mediation connection, which has no CHILD SA', () => {
    say('giving up after 3 retransmits', { name: MEDSRV });
    say('IKE_SA cygnet-med-master1[1] established between a...b', { name: MEDSRV });
    expect(told(MEDSRV)).toBe('nothing');
  });

  it('with its connection, and nothing else then', () => {
    say('giving up after 3 retransmits');
    say('giving up after 3 retransmits', { name: MEDSRV });
    board.keep([medsrv({ name: MEDSRV })]);
    board.keep(CONNECTIONS);
    expect([told(TUNNEL), told(MEDSRV)]).toEqual(['nothing', 'peer-offline by peer since 0, last at 0']);
  });
});

describe('a peer that ends the SA', () => {
  const deleted = (afterMs: number, id = 7): string => {
    say('IKE_SA cygnet-left--right[7] established between a...b', { id: 7, at: 1000 });
    say('CHILD_SA cygnet-left--right{7} established with SPIs 1_i 2_o and TS a === b', { id: 7, at: 1000 });
    say(`received DELETE for IKE_SA cygnet-left--right[${id}]`, { id, at: 1000 + afterMs });
    return told(TUNNEL);
  };

  it('at once has refused it', () => expect(deleted(100)).toBe('peer-refused by peer since 1100, last at 1100'));
  it('later has not', () => expect(deleted(10_000)).toBe('nothing'));
  it('has not refused another one', () => expect(deleted(100, 6)).toBe('nothing'));
});

describe('several mediations under way', () => {
  it('share what charon says about one of them, if they are at the same mediator', () => {
    const other = named('cygnet-med-master2');
    board.keep([...CONNECTIONS, peerOf('third', { at: other }), peerOf('idle')]);
    for (const node of ['remote', 'edge1', 'third'])
      say('initiating mediation connection', { name: `cygnet-peer-${node}` });
    say("checklist with id '1a:1a:70:a9' not found", { name: MEDSRV, at: 10 });
    expect(['remote', 'edge1', 'third', 'idle'].map((node) => told(`cygnet-peer-${node}`))).toEqual([
      'stuck-in-charon by own since 10, last at 10',
      'stuck-in-charon by own since 10, last at 10',
      'nothing',
      'nothing',
    ]);
  });

  const checksBegin = (message: string, at: number): void => {
    board.read({ group: 'ENC', 'ikesa-name': MEDSRV, msg: `parsed ME_CONNECT ${message}` }, at);
    say('pairs on checklist 1a:1a:70:a9:', { name: MEDSRV, at });
    board.read({ group: 'IKE', msg: 'no pairs in waiting state, aborting' }, at + 60);
  };

  it('are told by the checks of this end, and not by those that a peer asked for', () => {
    say('initiating mediation connection', { name: 'cygnet-peer-remote' });
    checksBegin('response 2 [ ]', 10);
    expect(told('cygnet-peer-remote')).toBe('nothing');
    checksBegin('request 1 [ N(ME_R) N(ME_CID) N(ME_CKEY) N(ME_EP) N(ME_EP) IDp ]', 100);
    expect(told('cygnet-peer-remote')).toBe('checks-failed by own since 160, last at 160');
  });

  it('lose what was said about the mediation with the begin of their own IKE SA only', () => {
    for (const node of ['remote', 'edge1']) say('initiating mediation connection', { name: `cygnet-peer-${node}` });
    checksBegin('request 1 [ N(ME_R) N(ME_CID) N(ME_CKEY) N(ME_EP) N(ME_EP) IDp ]', 100);
    say('initiating IKE_SA cygnet-peer-edge1[4] to 203.0.113.21', { name: 'cygnet-peer-edge1', at: 1100 });
    expect(['remote', 'edge1'].map((node) => told(`cygnet-peer-${node}`))).toEqual([
      'checks-failed by own since 160, last at 160',
      'nothing',
    ]);
  });

  it('do not include one that is over, or that began too long ago', () => {
    say('initiating mediation connection', { name: 'cygnet-peer-remote', at: 0 });
    say('initiating mediation connection', { name: 'cygnet-peer-edge1', at: 60_000 });
    say('initiating IKE_SA cygnet-peer-edge1[4] to 203.0.113.21', { name: 'cygnet-peer-edge1', at: 61_000 });
    say("checklist with id '1a:1a:70:a9' not found", { name: MEDSRV, at: 75_000 });
    expect(['remote', 'edge1'].map((node) => told(`cygnet-peer-${node}`))).toEqual(['nothing', 'nothing']);
  });
});

it('has no place for connections of others, whatever the log says about them', () =>
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          group: fc.constantFrom('IKE', 'CFG', 'ENC', 'JOB'),
          'ikesa-name': fc.oneof(fc.constant(undefined), fc.string(), fc.constantFrom('cygnet-other', '__proto__')),
          msg: fc.constantFrom(...capturedLines('5.9').map(({ msg }) => msg)),
        }),
      ),
      (lines: readonly CharonLogLine[]) => {
        const quiet = new EvidenceBoard();
        quiet.keep(CONNECTIONS);
        for (const one of lines) quiet.read(one, 0);
        for (const name of ['cygnet-other', '__proto__', '', '(unnamed)']) expect(quiet.latest(name)).toBeUndefined();
      },
    ),
  ));
