import { describe, expect, it } from 'vitest';
import { linkCauseSchema, natKindSchema } from '../../src/control/report.ts';
import { EVIDENCE_CODES } from '../../src/paths/evidence-rules.ts';
import {
  causeBy,
  causeOf,
  explainCause,
  isHopeless,
  NAT_KINDS,
  PATH_CAUSES,
  type CauseEvidence,
  type NatKind,
  type PathCause,
} from '../../src/paths/path-cause.ts';
import { evidence } from './evidence-builder.ts';

/** Two registered ends of which nothing else is known, after three tries in vain. */
const failed = (change: Partial<CauseEvidence> = {}): CauseEvidence => ({
  ownRegistered: true,
  peerOnline: true,
  peerRegistered: true,
  ownNat: 'unknown',
  peerNat: 'unknown',
  logged: undefined,
  failures: 3,
  lost: false,
  ...change,
});

describe('a link without a direct path', () => {
  it.each<[string, Partial<CauseEvidence>, PathCause | undefined]>([
    ['has no cause before its first try has failed', { failures: 0 }, undefined],
    ['whose tries fail for no other reason has its UDP dropped', {}, 'udp-blocked'],
    ['of a node that is not registered has no mediator', { ownRegistered: false }, 'mediator-unreachable'],
    ['of a node that UDP does not leave is blocked', { ownRegistered: false, ownNat: 'blocked' }, 'udp-blocked'],
    ['of a peer that is not registered has no mediator', { peerRegistered: false }, 'mediator-unreachable'],
    ['of a peer that UDP does not leave is blocked', { peerRegistered: false, peerNat: 'blocked' }, 'udp-blocked'],
    ['has a peer that is away', { peerOnline: false, peerRegistered: false }, 'peer-offline'],
    [
      'has a peer that is away, also before the first try',
      { peerOnline: false, peerRegistered: undefined, failures: 0 },
      'peer-offline',
    ],
    ['has a peer without its coordinator only', { peerOnline: false, peerRegistered: true }, 'udp-blocked'],
    [
      'goes by itself while the coordinator is away',
      { peerOnline: undefined, peerRegistered: undefined },
      'udp-blocked',
    ],
    ['was up, and is tried again', { lost: true, failures: 0 }, 'path-silent'],
    ['was up, and fails now for a reason', { lost: true }, 'udp-blocked'],
    ['has two symmetric NATs', { ownNat: 'symmetric', peerNat: 'symmetric' }, 'symmetric-nat'],
  ])('%s', (_what, evidence, cause) => expect(causeOf(failed(evidence))).toBe(cause));

  it.each(PATH_CAUSES)('has the cause that charon’s log proves: %s', (logged) => {
    expect(causeOf(failed({ logged }))).toBe(logged);
    const cause = logged === 'stuck-in-charon' ? 'symmetric-nat' : logged;
    expect(causeOf(failed({ logged, ownNat: 'symmetric', peerNat: 'symmetric' })), 'before a guess').toBe(cause);
  });

  it('has the NATs for a cause where no hole can be punched, also when a try hangs as well', () =>
    expect(causeOf(failed({ logged: 'stuck-in-charon', ownNat: 'symmetric', peerNat: 'cone' }))).toBe('symmetric-nat'));

  it('has none of an old log while no try has failed since', () =>
    expect(causeOf(failed({ logged: 'auth-failed', failures: 0 }))).toBeUndefined());

  it('has what this node sees for itself before all else', () =>
    expect(
      causeOf(failed({ ownRegistered: false, peerOnline: false, peerRegistered: false, logged: 'auth-failed' })),
    ).toBe('mediator-unreachable'));
});

it('charon’s log proves a cause, except that checks which failed prove none', () => {
  const codes = EVIDENCE_CODES.filter((code) => code !== 'checks-failed');
  expect(codes.map((code) => causeBy(evidence(code)))).toEqual(codes);
  expect([causeBy(evidence('checks-failed')), causeBy(undefined)]).toEqual([undefined, undefined]);
});

describe('hole punching', () => {
  it.each<[NatKind, boolean]>([
    ['none', false],
    ['cone', true],
    ['symmetric', true],
    ['blocked', true],
    ['unknown', true],
  ])('between a symmetric NAT and %s is hopeless: %s, from either end', (peer, hopeless) => {
    expect([isHopeless('symmetric', peer), isHopeless(peer, 'symmetric')]).toEqual([hopeless, hopeless]);
  });

  it('between any others is not', () => {
    const others = NAT_KINDS.filter((kind) => kind !== 'symmetric');
    expect(others.flatMap((own) => others.map((peer) => isHopeless(own, peer)))).not.toContain(true);
  });
});

describe('a cause', () => {
  it.each(PATH_CAUSES)('%s has words of its own, with the peer’s name', (cause) => {
    expect(explainCause(cause, 'site-b')).toContain('site-b');
    const same = PATH_CAUSES.filter((other) => explainCause(other, 'site-b') === explainCause(cause, 'site-b'));
    expect(same).toEqual([cause]);
  });

  it('is one that a report may carry, and so is a kind of NAT', () => {
    expect(linkCauseSchema.options).toEqual(PATH_CAUSES);
    expect(natKindSchema.options).toEqual(NAT_KINDS);
  });
});
