import { describe, expect, it } from 'vitest';
import {
  acceptState,
  claimOf,
  heldStateOf,
  type Acceptance,
  type HeldState,
  type StateFrame,
} from '../../src/agent/state-acceptance.ts';
import { pinnedTrust, trustWithHeld, withNextKeys, type StateTrust } from '../../src/agent/state-trust.ts';
import { epochSchema } from '../../src/control/epoch.ts';
import { generateSigningKey, signingKeyOf } from '../../src/control/signing-key.ts';
import { signStatement, type StateStatement } from '../../src/control/statement.ts';
import { nodeNameSchema } from '../../src/ike/connection.ts';
import { diffStates } from '../../src/ike/state-delta.ts';
import { canonicalJson, digestOf } from '../../src/json.ts';
import {
  EPOCH,
  LATER_EPOCH,
  MESH_KEY,
  nextKey,
  OTHER_KEY,
  signedState,
  statementAbout,
} from '../control/statements.ts';
import { desired, mediatedPeer, medsrv, spoke } from '../reconcile/builders.ts';

const NOW = 1_700_000_000_000;
const mesh = desired(medsrv(), spoke(), mediatedPeer());
const text = canonicalJson(mesh);
const pinned: StateTrust = { mesh: 'mesh', node: 'edge1', keys: [MESH_KEY.publicKey], retired: null, latest: null };

/** The frame with which a state comes in whole. */
function snapshot(state: unknown, change: Partial<StateStatement> = {}, key = MESH_KEY): StateFrame {
  const whole = canonicalJson(state);
  return { type: 'snapshot', signed: signedState(whole, change, key), state: whole };
}

interface Believed {
  readonly trust: StateTrust;
  readonly held: HeldState | undefined;
}

const nothing: Believed = { trust: pinned, held: undefined };

function taken(frame: StateFrame, believed: Believed = nothing): Believed {
  const accepted = acceptState(frame, believed, NOW);
  if (accepted.kind !== 'taken' && accepted.kind !== 'confirmed') expect.fail(accepted.message);
  return accepted;
}

const refusal = (accepted: Acceptance): string =>
  accepted.kind === 'refused' ? accepted.message : expect.fail(accepted.kind);

/** A node that has taken generation 5. */
const five = taken(snapshot(mesh));

describe('a state is taken', () => {
  it('first of all, and is the latest from then on', () => {
    expect(five.held).toEqual({ statement: statementAbout(text), signed: signedState(text), text, state: mesh });
    expect(five.trust.latest).toEqual({ epoch: EPOCH, generation: 5, digest: digestOf(mesh) });
  });

  it('in a later generation, and in any generation of a later epoch', () => {
    expect(taken(snapshot(desired(spoke()), { generation: 6 }), five).trust.latest?.generation).toBe(6);
    const later = taken(snapshot(desired(spoke()), { epoch: LATER_EPOCH, generation: 1 }), five);
    expect(later.trust.latest).toMatchObject({ epoch: LATER_EPOCH, generation: 1 });
  });

  it('when it takes most from the node, with the consent that is signed with it', () => {
    const empty = { ...desired(), links: [] };
    expect(taken(snapshot(empty, { generation: 6, allowMassRemoval: true }), five).held?.state.connections).toEqual([]);
  });

  it('as a delta, when that leads to what is signed', () => {
    const frame: StateFrame = {
      type: 'delta',
      signed: signedState(canonicalJson(desired(spoke())), { generation: 6 }),
      base: digestOf(mesh),
      delta: diffStates({ ...mesh }, { ...desired(spoke()) }),
    };
    expect(taken(frame, five).held).toMatchObject({ text: canonicalJson(desired(spoke())), state: desired(spoke()) });
  });

  it('while clocks are apart by less than an hour of its end', () => {
    const frame = snapshot(mesh, { notAfterMs: NOW - 3_599_000 });
    expect(acceptState(frame, nothing, NOW).kind).toBe('taken');
  });
});

describe('a state that is held already', () => {
  it('is confirmed, however it comes, and for however long it is held', () => {
    const signed = signedState(text, { notAfterMs: 1 });
    for (const frame of [snapshot(mesh), { type: 'unchanged', signed } satisfies StateFrame]) {
      expect(acceptState(frame, five, NOW).kind).toBe('confirmed');
    }
  });

  it('under a later generation has that one', () => {
    const later = taken({ type: 'unchanged', signed: signedState(text, { generation: 9 }) }, five);
    expect(later.held?.statement.generation).toBe(9);
    expect(refusal(acceptState(snapshot(desired(), { generation: 8 }), later, NOW))).toContain(
      'older than generation 9',
    );
  });
});

describe('a state is refused', () => {
  const otherNode = { ...mesh, node: nodeNameSchema.parse('edge2') };
  const twin = epochSchema.parse('1700000000-fedcba9876543210');
  const earlier = epochSchema.parse('1699999999-0123456789abcdef');
  const six = { generation: 6, allowMassRemoval: true };
  it.each<[string, StateFrame, RegExp]>([
    ['of an older generation', snapshot(desired(), { generation: 4 }), /older than generation 5/],
    ['of the same generation that is another', snapshot(desired(spoke())), /generation 5 was another state before/],
    [
      'of an older epoch',
      snapshot(desired(), { epoch: earlier, generation: 99 }),
      /later one .* restored from a backup/,
    ],
    ['of an epoch with the same number', snapshot(desired(), { epoch: twin, generation: 99 }), /two coordinators/],
    ['for another node', snapshot(otherNode, { ...six, node: 'edge2' }), /for node edge2, and this is edge1/],
    ['for another mesh', snapshot(mesh, { ...six, mesh: 'other' }), /for mesh other, and this node is in mesh/],
    ['that is signed for this node and names another', snapshot(otherNode, six), /another mesh or node than its sig/],
    ['of a key that is not pinned', snapshot(desired(), six, OTHER_KEY), /which is not trusted here/],
    ['whose end has come', snapshot(desired(spoke()), { ...six, notAfterMs: NOW - 3_601_000 }), /signed again/],
    ['with an updown script', snapshot({ ...desired(), updown: '/bin/sh' }, six), /does not understand.*updown/],
    ['that is no state', snapshot([1, 2], six), /expected object/],
    [
      'that takes most from the node',
      snapshot({ ...desired(), links: [] }, { generation: 6 }),
      /3 of its 3 connections/,
    ],
  ])('%s', (_what, frame, message) => expect(refusal(acceptState(frame, five, NOW))).toMatch(message));

  const good = snapshot(desired(spoke()), six);
  it.each<[string, StateFrame, RegExp]>([
    ['is not signed', { ...good, signed: { ...good.signed, signature: '' } }, /not signed/],
    ['has no whole signature', { ...good, signed: { ...good.signed, signature: 'AAAA' } }, /signature does not fit/],
    [
      'claims to be of the pinned key',
      { ...good, signed: { ...snapshot(desired(spoke()), six, OTHER_KEY).signed, key: MESH_KEY.publicKey } },
      /signature does not fit/,
    ],
    [
      'says something else than was signed',
      { ...good, signed: { ...good.signed, text: good.signed.text.replace('"generation":6', '"generation":7') } },
      /signature does not fit/,
    ],
    [
      'is spelled in another way than was signed',
      { ...good, signed: { ...good.signed, text: ` ${good.signed.text}` } },
      /signature does not fit/,
    ],
    ['has another text than was signed', { ...good, state: text } as StateFrame, /digest does not fit/],
    ['is no statement about a state', { ...good, signed: nextKey(MESH_KEY, OTHER_KEY) }, /not understood/],
    [
      'says more than is understood',
      { ...good, signed: signStatement({ ...statementAbout('x'), more: 1 } as StateStatement, MESH_KEY) },
      /not understood/,
    ],
  ])('when it %s', (_what, frame, message) => expect(refusal(acceptState(frame, five, NOW))).toMatch(message));

  it('after the disk has lost the one before, as it was before', () => {
    const lost = { trust: five.trust, held: undefined };
    expect(refusal(acceptState(snapshot(desired(), { generation: 4 }), lost, NOW))).toContain(
      'older than generation 5',
    );
    expect(acceptState(snapshot(mesh), lost, NOW).kind).toBe('taken');
  });

  it('after the note of the one before is lost, as it was before', () => {
    const lost = { trust: trustWithHeld(pinned, five.held!.statement), held: five.held };
    expect(lost.trust).toEqual(five.trust);
    expect(trustWithHeld(five.trust, statementAbout('x', { generation: 4 }))).toBe(five.trust);
    expect(refusal(acceptState(snapshot(desired(), { generation: 4 }), lost, NOW))).toContain(
      'older than generation 5',
    );
  });
});

describe('the whole state is asked for', () => {
  const signed = signedState(canonicalJson(desired(spoke())), { generation: 6 });
  const delta = diffStates({ ...mesh }, { ...desired(spoke()) });
  it.each<[string, StateFrame]>([
    ['by a node that does not hold what is unchanged', { type: 'unchanged', signed }],
    ['when a delta is for another state', { type: 'delta', signed, base: digestOf('x'), delta }],
    ['when a delta leads elsewhere', { type: 'delta', signed, base: digestOf(mesh), delta: '{"fields":[]}' }],
    ['when a delta is none', { type: 'delta', signed, base: digestOf(mesh), delta: 'x' }],
  ])('%s', (_what, frame) => expect(acceptState(frame, five, NOW).kind).toBe('resend'));
});

describe('what is on the node’s own disk', () => {
  const stored = { signed: five.held!.signed, state: five.held!.text };

  it('is believed for its signature, at any time', () => {
    expect(heldStateOf(stored, pinned)).toEqual(five.held);
    const ended = { signed: signedState(text, { notAfterMs: 1 }), state: text };
    expect(heldStateOf(ended, pinned).state).toEqual(mesh);
  });

  it.each([
    ['altered', { ...stored, state: text.replace('master1', 'master2') }, pinned, /digest/],
    ['of a stranger', { ...stored, signed: signedState(text, {}, OTHER_KEY) }, pinned, /not trusted/],
    ['of another node', stored, { ...pinned, node: 'edge2' }, /this is edge2/],
    ['of another mesh', stored, { ...pinned, mesh: 'other' }, /in other/],
  ])('%s is not', (_what, changed, trust, message) => expect(() => heldStateOf(changed, trust)).toThrow(message));
});

describe('a rotation of the signing key', () => {
  const both = withNextKeys(five.trust, [nextKey(MESH_KEY, OTHER_KEY)], MESH_KEY.publicKey);
  const six = snapshot(desired(spoke()), { generation: 6 }, OTHER_KEY);

  it('has both keys trusted until the new one has signed a state', () => {
    expect(both.keys).toEqual([OTHER_KEY.publicKey, MESH_KEY.publicKey]);
    const still = taken(snapshot(desired(spoke()), { generation: 6 }), { ...five, trust: both });
    expect(still.trust.keys).toEqual([OTHER_KEY.publicKey, MESH_KEY.publicKey]);
    const done = taken(six, { ...five, trust: both });
    expect(done.trust).toMatchObject({ keys: [OTHER_KEY.publicKey], retired: MESH_KEY.publicKey });
    expect(refusal(acceptState(snapshot(mesh, { generation: 7 }), done, NOW))).toContain('not trusted');
  });

  it('leaves the older copy on disk good', () => {
    const { trust } = taken(six, { ...five, trust: both });
    expect(heldStateOf({ signed: five.held!.signed, state: text }, trust).state).toEqual(mesh);
  });

  it('is told more than once without harm', () =>
    expect(withNextKeys(both, [nextKey(MESH_KEY, OTHER_KEY)], MESH_KEY.publicKey)).toBe(both));

  it.each([
    ['a stranger', nextKey(OTHER_KEY, MESH_KEY), /not trusted/],
    ['nobody', { ...nextKey(MESH_KEY, OTHER_KEY), signature: '' }, /not signed/],
    ['a statement of another kind', signedState(text), /not understood/],
  ])('that is introduced by %s is refused', (_what, introduction, message) =>
    expect(() => withNextKeys(five.trust, [introduction], MESH_KEY.publicKey)).toThrow(message),
  );

  it('of another mesh changes nothing', () =>
    expect(withNextKeys(five.trust, [nextKey(MESH_KEY, OTHER_KEY, 'other')], MESH_KEY.publicKey)).toBe(five.trust));

  it('cannot be begun by the key that is on its way out', () =>
    expect(withNextKeys(both, [nextKey(MESH_KEY, MESH_KEY)], MESH_KEY.publicKey)).toBe(both));
});

describe('an enrolment', () => {
  const keys = [MESH_KEY.publicKey];

  it('as the same node forgets nothing of how far it had got', () =>
    expect(pinnedTrust({ mesh: 'mesh', node: 'edge1', keys }, five.trust, MESH_KEY.publicKey)).toEqual(five.trust));

  it.each([
    ['as another node', { mesh: 'mesh', node: 'edge2', keys }],
    ['in another mesh', { mesh: 'other', node: 'edge1', keys }],
    ['as another node, with another key', { mesh: 'mesh', node: 'edge2', keys: [OTHER_KEY.publicKey] }],
  ])('%s begins anew', (_what, pin) =>
    expect(pinnedTrust(pin, five.trust, MESH_KEY.publicKey)).toEqual({ ...pin, retired: null, latest: null }),
  );

  const third = signingKeyOf(generateSigningKey());
  const both = withNextKeys(five.trust, [nextKey(MESH_KEY, OTHER_KEY)], MESH_KEY.publicKey);
  it.each<[string, StateTrust, typeof keys, StateTrust['latest']]>([
    ['before the node has heard of it', five.trust, [OTHER_KEY.publicKey], null],
    ['when the node knows both keys', both, [OTHER_KEY.publicKey], five.trust.latest],
    ['when the coordinator names both keys', both, [OTHER_KEY.publicKey, MESH_KEY.publicKey], five.trust.latest],
    ['when another one has followed', both, [third.publicKey, OTHER_KEY.publicKey], five.trust.latest],
    ['when two others have followed', five.trust, [third.publicKey, OTHER_KEY.publicKey], null],
  ])('in the middle of a rotation leaves the state that is held good: %s', (_what, former, named, latest) => {
    const trust = pinnedTrust({ mesh: 'mesh', node: 'edge1', keys: named }, former, MESH_KEY.publicKey);
    expect(trust).toMatchObject({ keys: named, latest });
    expect(heldStateOf({ signed: five.held!.signed, state: text }, trust).state).toEqual(mesh);
  });

  it('without a state keeps what older copies are good by', () => {
    const former = { ...five.trust, retired: OTHER_KEY.publicKey };
    expect(pinnedTrust({ mesh: 'mesh', node: 'edge1', keys }, former, undefined)).toEqual(former);
  });

  it('as another node lets that one have other connections', () => {
    const trust: StateTrust = { ...pinned, node: 'edge2' };
    const state = { ...desired(), links: [], node: nodeNameSchema.parse('edge2') };
    expect(acceptState(snapshot(state, { node: 'edge2' }), { ...five, trust: { ...trust } }, NOW).kind).toBe('taken');
  });
});

describe('a claim', () => {
  it('is what a frame says of itself, and nothing when it says nothing', () => {
    expect(claimOf(signedState(text))).toMatchObject({ epoch: EPOCH, generation: 5 });
    expect(claimOf({ ...signedState(text), text: '{"generation":7}' })).toEqual({ epoch: null, generation: 0 });
  });
});
