import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { StateKeeper } from '../../src/agent/state-keeper.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { generateSigningKey, signingKeyOf, type SigningKey } from '../../src/control/signing-key.ts';
import { canonicalJson, digestOf } from '../../src/json.ts';
import { MESH_KEY, nextKey, OTHER_KEY, signedState } from '../control/statements.ts';
import { desired, medsrv, spoke } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { temporaryFolder } from './temporary-folder.ts';

const first = desired(spoke());
const second = desired(medsrv(), spoke());

interface Kept {
  readonly folder: string;
  readonly keeper: StateKeeper;
  readonly unusable: readonly string[];
}

function keeperIn(folder: string, self = { mesh: 'mesh', node: 'edge1' }): Kept {
  const unusable: string[] = [];
  const { desired: desiredFile, trust: trustFile } = storedIn(folder);
  const onUnusable = (error: Error): void => void unusable.push(error.message);
  return {
    folder,
    unusable,
    keeper: new StateKeeper({ clock: new ManualClock(), desiredFile, trustFile, self, onUnusable }),
  };
}

/** A node that was enrolled, and has taken generations 1 and 2. */
function withTwo(): Kept {
  const folder = temporaryFolder();
  const trust = { mesh: 'mesh', node: 'edge1', keys: [MESH_KEY.publicKey], retired: null, latest: null };
  storedIn(folder).trust.write(trust);
  const kept = keeperIn(folder);
  send(kept, first, 1);
  send(kept, second, 2);
  return kept;
}

function send({ keeper }: Kept, state: unknown, generation: number, key: SigningKey = MESH_KEY): string {
  const text = canonicalJson(state);
  return keeper.receive({ type: 'snapshot', signed: signedState(text, { generation }, key), state: text }).kind;
}

function damage({ folder }: Kept, ...names: readonly string[]): void {
  for (const name of names) {
    const path = join(folder, name);
    writeFileSync(path, readFileSync(path, 'utf8').replace('master1', 'master2').replace('"mesh"', '"mash"'));
  }
}

const generationIn = ({ keeper }: Kept): number | undefined => keeper.held?.statement.generation;

describe('the desired state on disk', () => {
  it('is there after a restart', () => {
    const kept = keeperIn(withTwo().folder);
    expect(kept.keeper.held?.state).toEqual(second);
    expect([kept.unusable, kept.keeper.problems]).toEqual([[], []]);
  });

  it('is the one before when it is damaged, and the operator is told until it is whole again', () => {
    const before = withTwo();
    damage(before, 'desired.json');
    const kept = keeperIn(before.folder);
    expect(kept.keeper.held?.state).toEqual(first);
    expect(kept.unusable).toEqual([expect.stringContaining('checksum')]);
    expect(kept.keeper.problems).toEqual([expect.stringContaining('generation 1 is in force until')]);
    expect(send(kept, second, 2)).toBe('changed');
    expect(kept.keeper.problems).toEqual([]);
    expect(generationIn(keeperIn(before.folder))).toBe(2);
  });

  it('that is damaged does not take the place of the good one before it', () => {
    const before = withTwo();
    damage(before, 'desired.json');
    send(keeperIn(before.folder), second, 2);
    damage(before, 'desired.json');
    expect(generationIn(keeperIn(before.folder))).toBe(1);
  });

  it('is none when both copies are damaged, and then only what comes after it is taken', () => {
    const before = withTwo();
    damage(before, 'desired.json', 'desired.json.previous');
    const kept = keeperIn(before.folder);
    expect(kept.keeper.held).toBeUndefined();
    expect(kept.keeper.problems).toEqual([expect.stringContaining('charon is left as it is')]);
    expect(send(kept, first, 1)).toBe('refused');
    expect(send(kept, second, 2)).toBe('changed');
    expect(generationIn(keeperIn(before.folder))).toBe(2);
  });

  it('is not believed for its checksum alone', () => {
    const before = withTwo();
    const text = canonicalJson(first);
    storedIn(before.folder).desired.write({ signed: signedState(text, { generation: 9 }, OTHER_KEY), state: text });
    const kept = keeperIn(before.folder);
    // Written over without the copy of before being touched, as an intruder would.
    expect(generationIn(kept)).toBe(2);
    expect(kept.unusable).toEqual([expect.stringContaining('not trusted')]);
  });
});

describe('what a node believes', () => {
  it('goes on from the copy before when it is damaged, and no state is lost', () => {
    const before = withTwo();
    damage(before, 'trust.json');
    const kept = keeperIn(before.folder);
    expect(generationIn(kept)).toBe(2);
    // The older note says generation 1; the state itself knows better.
    expect(send(kept, first, 1)).toBe('refused');
  });

  it('is nothing without a key: no state is taken, and the operator is told what to do', () => {
    const before = withTwo();
    damage(before, 'trust.json', 'trust.json.previous');
    const kept = keeperIn(before.folder);
    expect(kept.keeper.held).toBeUndefined();
    expect(kept.keeper.problems).toEqual([expect.stringContaining('agentctl enroll --again')]);
    expect(send(kept, second, 3)).toBe('refused');
    kept.keeper.enrolled({ mesh: 'mesh', node: 'edge1', keys: [MESH_KEY.publicKey], retired: null, latest: null });
    expect(kept.keeper.problems).toEqual([]);
    expect(send(kept, second, 3)).toBe('changed');
  });

  it('holds before the enrolment without a complaint', () => {
    const { keeper } = keeperIn(temporaryFolder());
    expect([keeper.keys, keeper.held, keeper.problems]).toEqual([[], undefined, []]);
  });

  it('is rotated on disk, from the new key to its first state', () => {
    const kept = withTwo();
    expect(kept.keeper.introduce({ type: 'keys', introductions: [nextKey(MESH_KEY, OTHER_KEY)] })).toBeUndefined();
    expect(keeperIn(kept.folder).keeper.keys).toEqual([OTHER_KEY.publicKey, MESH_KEY.publicKey]);
    const signed = signedState(canonicalJson(second), { generation: 2 }, OTHER_KEY);
    expect(kept.keeper.receive({ type: 'unchanged', signed }).kind).toBe('confirmed');
    const after = keeperIn(kept.folder);
    expect(after.keeper.keys).toEqual([OTHER_KEY.publicKey]);
    expect(after.keeper.held).toMatchObject({ signed, statement: { digest: digestOf(second) } });
    damage(kept, 'desired.json');
    expect(generationIn(keeperIn(kept.folder))).toBe(2);
  });

  it('includes the held state when several keys have come at once', () => {
    const [third, fourth] = [signingKeyOf(generateSigningKey()), signingKeyOf(generateSigningKey())];
    const kept = withTwo();
    const introductions = [nextKey(MESH_KEY, OTHER_KEY), nextKey(OTHER_KEY, third), nextKey(third, fourth)];
    expect(kept.keeper.introduce({ type: 'keys', introductions })).toBeUndefined();
    const after = keeperIn(kept.folder);
    expect(after.keeper.keys).toEqual([fourth.publicKey, third.publicKey]);
    expect([generationIn(after), after.keeper.problems]).toEqual([2, []]);
    expect(send(after, first, 3, fourth)).toBe('changed');
    damage(kept, 'desired.json');
    expect(generationIn(keeperIn(kept.folder))).toBe(2);
  });
});
