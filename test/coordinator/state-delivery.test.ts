import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { generateSigningKey, publicKeyPem, signingKeyOf, type SigningKey } from '../../src/control/signing-key.ts';
import {
  openStatement,
  nextKeyStatementSchema,
  signStatement,
  type StateStatement,
} from '../../src/control/statement.ts';
import { SignaturesRefused } from '../../src/coordinator/issued-states.ts';
import { MassRemovalRefused } from '../../src/coordinator/spec-in-force.ts';
import { SigningKeys } from '../../src/coordinator/signing-keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { digestOfText } from '../../src/json.ts';
import { claimIn } from '../control/statements.ts';
import { MESH, meshCa } from '../identity/mesh.ts';
import { CoreFixture, type FakeChannel } from './core-fixture.ts';
import { SEED_SPEC } from './spec-builders.ts';

const THIRD = `${SEED_SPEC.replace('links:', '  third: { subnets: [7.7.9.0/24] }\nlinks:')}  - [third, edge1]\n`;
const ALONE = 'nodes: { edge1: {} }';

let ca: MeshCa;
let mesh: CoreFixture;

beforeAll(async () => {
  ca = await meshCa();
});

afterEach(() => mesh[Symbol.dispose]());

function begin(offlineKey?: string): void {
  mesh = new CoreFixture(ca, offlineKey);
}

const apply = (text: string, allowMassRemoval = false) =>
  mesh.core.rollout.apply(text, { dryRun: false, allowMassRemoval });
const stateOf = (name: string) => mesh.core.views.nodes().find((node) => node.name === name)?.state;
const events = (kind: string): string[] =>
  mesh.core.events.after(0, 1000).flatMap((event) => (event.kind === kind ? [event.message] : []));

/** The channel of a node that has taken what it was sent. */
function taking(channel: FakeChannel): { readonly channel: FakeChannel; readonly claim: StateStatement } {
  const claim = claimIn(channel.last('snapshot') ?? channel.last('unchanged') ?? expect.fail('told nothing'));
  channel.take();
  return { channel, claim };
}

describe('a delta', () => {
  beforeEach(() => begin());

  it('goes to the node that holds what it begins with, also one that was away', () => {
    apply(SEED_SPEC);
    const { claim } = taking(mesh.connect('edge1'));
    apply(THIRD);
    expect(mesh.connect('edge1', { ...claim }).take()).toEqual(['delta', 'links']);
    expect(mesh.connect('edge1').take()).toEqual(['snapshot', 'links']);
  });

  it('leads to what was signed, and what it leads to the next one begins with', () => {
    apply(SEED_SPEC);
    const { channel } = taking(mesh.connect('edge1'));
    apply(THIRD);
    apply(SEED_SPEC, true);
    expect(channel.take()).toEqual(['delta', 'links', 'delta', 'links']);
    expect(JSON.stringify(channel.state)).not.toContain('third');
  });

  it('that is no use to the node is followed by the whole, once', () => {
    apply(SEED_SPEC);
    const { channel } = taking(mesh.connect('edge1'));
    apply(THIRD);
    channel.take();
    for (const reason of ['it does not fit', 'and again'])
      mesh.core.channels.received(channel, { type: 'resend', reason });
    expect(channel.take()).toEqual(['snapshot']);
    expect(events('channel').at(-1)).toContain('it does not fit');
  });

  it('is not sent when the whole is hardly larger', () => {
    apply(ALONE);
    const { channel } = taking(mesh.connect('edge1'));
    apply(SEED_SPEC);
    expect(channel.take()).toEqual(['snapshot', 'links']);
  });
});

describe('a mass removal', () => {
  beforeEach(() => {
    begin();
    apply(SEED_SPEC);
  });

  it('needs consent: without it nothing is changed', () => {
    const { channel } = taking(mesh.connect('remote'));
    expect(() => apply(ALONE)).toThrow(MassRemovalRefused);
    expect(() => apply(ALONE)).toThrow(
      expect.objectContaining({
        removals: expect.arrayContaining([{ node: 'remote', loss: '3 of its 3 connections' }]) as unknown,
      }),
    );
    expect(mesh.core.views.status().revision).toBe(1);
    expect(channel.take()).toEqual([]);
  });

  it('is foretold by a dry run', () =>
    expect(mesh.core.rollout.apply(ALONE, { dryRun: true }).massRemovals.map(({ node }) => node)).toContain('remote'));

  it('carries the consent in its statement, until the node has taken it', () => {
    apply(ALONE, true);
    const { channel, claim } = taking(mesh.connect('remote'));
    expect(claim).toMatchObject({ generation: 2, allowMassRemoval: true });
    apply(SEED_SPEC);
    expect(claimIn(mesh.connect('remote').last('snapshot')!)).toMatchObject({ generation: 3, allowMassRemoval: true });
    const { epoch } = mesh.store.signing;
    mesh.core.channels.received(channel, { type: 'ack', epoch, generation: 3, outcomes: [] });
  });

  it('has no consent left over once the node has taken it', () => {
    apply(ALONE, true);
    const channel = mesh.connect('remote');
    mesh.core.channels.received(channel, { type: 'ack', epoch: mesh.store.signing.epoch, generation: 2, outcomes: [] });
    apply(SEED_SPEC);
    expect(claimIn(mesh.connect('remote').last('snapshot')!)).toMatchObject({ generation: 3, allowMassRemoval: false });
  });

  it('can have the consent afterwards, for nodes that have refused', () => {
    mesh.store.mesh.apply('', { states: new Map(), addresses: new Map() }, { nowMs: 0, mayRemove: () => false });
    const channel = mesh.connect('remote');
    channel.take();
    apply(SEED_SPEC, true);
    const claim = claimIn(channel.last('unchanged') ?? expect.fail('told nothing'));
    expect(claim).toMatchObject({ generation: 1, allowMassRemoval: true });
  });

  it('follows from a revocation without another word', () => {
    mesh.core.members.revoke('master1' as NodeName, null);
    expect(claimIn(mesh.connect('remote').last('snapshot')!)).toMatchObject({ allowMassRemoval: true });
  });
});

describe('the signing key of a coordinator', () => {
  beforeEach(() => begin());

  const keyFile = (): string => join(mesh.folder, 'signing.key');

  it('is made once, for this user only, and is in no enrolment but by its public part', async () => {
    expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
    const key = signingKeyOf(readFileSync(keyFile(), 'utf8')).publicKey;
    mesh.restart();
    expect(mesh.core.delivery.signingKey()).toEqual({
      mesh: MESH,
      key,
      offline: false,
      unsigned: 0,
      signingProblem: null,
    });
    const { token } = mesh.core.tokens.issue('edge1' as NodeName, 60);
    expect(token).not.toContain(key);
  });

  it('is rotated: nodes that are here are told the key, and then what it signs', () => {
    apply(SEED_SPEC);
    const former = mesh.signingKeys.current;
    const { channel, claim } = taking(mesh.connect('edge1'));
    const { key } = mesh.changeSigningKey({});
    expect(key).not.toBe(former);
    const introduction = channel.last('keys')?.introductions[0] ?? expect.fail();
    expect(openStatement(introduction, [former], nextKeyStatementSchema)).toMatchObject({ replaces: former, key });
    expect(channel.last('unchanged')?.signed.key).toBe(key);
    expect(channel.take()).toEqual(['keys', 'unchanged']);
    // One that was away hears of it with its hello, whatever else it missed.
    mesh.changeSigningKey({});
    mesh.restart();
    const late = mesh.connect('remote', { keys: [former] });
    expect(late.last('keys')?.introductions).toHaveLength(2);
    expect(late.take()).toEqual(['keys', 'snapshot', 'links']);
    expect(mesh.connect('edge1', { ...claim, keys: [key] }).last('keys')?.introductions).toHaveLength(1);
  });

  it('survives a crash at any point of a rotation', () => {
    const former = readFileSync(keyFile(), 'utf8');
    mesh.changeSigningKey({});
    const next = readFileSync(keyFile(), 'utf8');
    // After the database has the new key, and before the file has its name.
    renameSync(keyFile(), `${keyFile()}.next`);
    writeFileSync(keyFile(), former);
    mesh.restart();
    expect(readFileSync(keyFile(), 'utf8')).toBe(next);
    // Before the database has it.
    writeFileSync(`${keyFile()}.next`, generateSigningKey());
    mesh.restart();
    expect(readFileSync(keyFile(), 'utf8')).toBe(next);
    expect(existsSync(`${keyFile()}.next`)).toBe(false);
  });

  it('that is lost or another one is no reason to make a new one', () => {
    const options = { stateDir: mesh.folder, mesh: MESH, store: mesh.store.signing, offlineKey: undefined };
    writeFileSync(keyFile(), generateSigningKey());
    expect(() => new SigningKeys(options)).toThrow(/is another key/);
    writeFileSync(keyFile(), 'x');
    expect(() => new SigningKeys(options)).toThrow(/no key in PEM/);
    rmSync(keyFile());
    expect(() => new SigningKeys(options)).toThrow(/is missing.*restore it from a backup/);
    expect(existsSync(keyFile())).toBe(false);
  });
});

describe('a restored coordinator', () => {
  beforeEach(() => {
    begin();
    apply(SEED_SPEC);
  });

  it('tells nobody anything in its new epoch until a spec is applied', async () => {
    await mesh.enrol('edge1');
    const { claim } = taking(mesh.connect('edge1'));
    const former = mesh.store.signing.epoch;
    mesh.store.signing.newEpoch(mesh.nowMs);
    mesh.restart();
    const channel = mesh.connect('edge1', { ...claim });
    expect(channel.take()).toEqual(['links']);
    expect(stateOf('edge1')).toBe('held-back');
    expect(events('epoch').at(-1)).toContain('until a mesh spec is applied');
    apply(SEED_SPEC);
    expect(claimIn(channel.last('unchanged') ?? expect.fail('told nothing')).epoch).toBe(mesh.store.signing.epoch);
    expect(mesh.store.signing.epoch).not.toBe(former);
    expect(stateOf('edge1')).not.toBe('held-back');
  });

  it('stays so when the spec could not be written', async () => {
    await mesh.enrol('edge1');
    mesh.store.signing.newEpoch(mesh.nowMs);
    mesh.restart();
    vi.spyOn(mesh.store.mesh, 'apply').mockImplementationOnce(() => expect.fail('disk full'));
    expect(() => apply(SEED_SPEC)).toThrow('disk full');
    expect(mesh.store.signing.isHeldBack).toBe(true);
    vi.spyOn(mesh.store.signing, 'release').mockImplementationOnce(() => expect.fail('disk full'));
    expect(() => apply(ALONE, true)).toThrow('disk full');
    expect(mesh.core.spec?.text).toBe(SEED_SPEC);
    expect(mesh.connect('edge1').take()).toEqual(['links']);
  });

  it('takes back the consents to a mass removal that the backup held', async () => {
    await mesh.enrol('edge1');
    apply(ALONE, true);
    expect(claimIn(mesh.connect('edge1').last('snapshot') ?? expect.fail('told nothing')).allowMassRemoval).toBe(true);
    mesh.store.signing.newEpoch(mesh.nowMs);
    mesh.restart();
    apply(ALONE);
    expect(claimIn(mesh.connect('edge1').last('snapshot') ?? expect.fail('told nothing')).allowMassRemoval).toBe(false);
  });

  it('that was not told so is found out by its nodes', () => {
    const { claim } = taking(mesh.connect('edge1'));
    mesh.connect('edge1', { ...claim, generation: 9 });
    mesh.connect('edge1', { ...claim, epoch: '9999999999-0123456789abcdef' });
    expect(events('epoch')).toEqual([
      expect.stringContaining('holds generation 9 of epoch'),
      expect.stringContaining('needs a new epoch'),
    ]);
    mesh.connect('edge1', { ...claim, epoch: '1-0123456789abcdef', generation: 99 });
    expect(events('epoch')).toHaveLength(2);
  });

  it('goes on with the newer signing key that the machine still has', () => {
    const pem = generateSigningKey();
    writeFileSync(join(mesh.folder, 'signing.key'), pem);
    mesh.store.signing.newEpoch(mesh.nowMs);
    mesh.restart();
    expect(mesh.core.delivery.signingKey().key).toBe(signingKeyOf(pem).publicKey);
  });
});

describe('a key in the operator’s keeping', () => {
  let folder: string;
  let key: SigningKey;

  const fileOf = (made: SigningKey): string => {
    const path = join(folder, `${made.publicKey}.pub`);
    writeFileSync(path, publicKeyPem(made.publicKey));
    return path;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cygnet-keys-'));
    key = signingKeyOf(generateSigningKey());
    begin(fileOf(key));
    return () => rmSync(folder, { recursive: true });
  });

  /** What the operator signs for all that waits. */
  function sign(change: Partial<StateStatement> = {}, by = key) {
    const { mesh: name, epoch, states } = mesh.core.delivery.unsigned('');
    return states.map(({ node, generation, text, allowMassRemoval }) =>
      signStatement(
        {
          kind: 'state',
          mesh: name,
          node,
          epoch,
          generation,
          digest: digestOfText(text),
          issuedAtMs: mesh.nowMs,
          notAfterMs: null,
          allowMassRemoval,
          ...change,
        },
        by,
      ),
    );
  }

  it('has nodes told nothing until it has signed', async () => {
    await mesh.enrol('edge1');
    const channel = mesh.connect('edge1');
    expect(apply(SEED_SPEC).unsigned).toEqual(['edge1', 'master1', 'remote']);
    expect(existsSync(join(mesh.folder, 'signing.key'))).toBe(false);
    expect(channel.take()).toEqual(['links']);
    expect(stateOf('edge1')).toBe('unsigned');
    expect(mesh.signStates(sign())).toEqual(['edge1', 'master1', 'remote']);
    expect(channel.take()).toEqual(['snapshot']);
    expect(stateOf('edge1')).toBe('pending');
    expect(mesh.core.delivery.unsigned('').states).toEqual([]);
  });

  it('leaves the state that was signed before in force', () => {
    apply(SEED_SPEC);
    mesh.signStates(sign());
    const { claim } = taking(mesh.connect('edge1'));
    apply(THIRD);
    mesh.restart();
    expect(mesh.connect('edge1', { ...claim }).take()).toEqual(['unchanged', 'links']);
    const [edge1] = mesh.core.delivery.unsigned('').states;
    expect(edge1).toMatchObject({ node: 'edge1', generation: 2, issued: { signed: { key: key.publicKey } } });
    mesh.signStates(sign());
    expect(mesh.connect('edge1', { ...claim }).take()).toEqual(['delta', 'links']);
  });

  it.each<[string, Partial<StateStatement>, RegExp]>([
    ['another node', { node: 'third' }, /third: no state of it waits/],
    ['another generation', { generation: 7 }, /another state waits by now/],
    ['another digest', { digest: '0'.repeat(64) }, /another state waits by now/],
    ['another mesh', { mesh: 'other' }, /another state waits by now/],
    ['a consent that nobody gave', { allowMassRemoval: true }, /another state waits by now/],
    ['a time that is over', { notAfterMs: 1 }, /expired already/],
  ])('is not taken for %s, and then nothing is', (_what, change, reason) => {
    apply(SEED_SPEC);
    const [good, ...rest] = sign();
    const bad = sign(change).slice(1, 2);
    expect(() => mesh.signStates([good!, ...bad, ...rest.slice(1)])).toThrow(
      expect.objectContaining({ reasons: [expect.stringMatching(reason)] }),
    );
    expect(mesh.core.delivery.unsigned('').states).toHaveLength(3);
  });

  it('is the only one whose signature counts', () => {
    apply(SEED_SPEC);
    const stranger = signingKeyOf(generateSigningKey());
    expect(() => mesh.signStates(sign({}, stranger))).toThrow(SignaturesRefused);
  });

  it('has a state signed again whose end has come', () => {
    apply(SEED_SPEC);
    mesh.signStates(sign({ notAfterMs: mesh.nowMs + 1000 }));
    expect(mesh.core.delivery.unsigned('').states).toEqual([]);
    mesh.nowMs += 1000;
    expect(mesh.core.delivery.unsigned('').states).toHaveLength(3);
  });

  it('shows what waits in portions', () => {
    apply(SEED_SPEC);
    expect(mesh.core.delivery.unsigned('edge1').states.map(({ node }) => node)).toEqual(['master1', 'remote']);
  });

  it('is followed by another one on its own word, and everything is signed again', () => {
    apply(SEED_SPEC);
    mesh.signStates(sign());
    const next = signingKeyOf(generateSigningKey());
    const about = { kind: 'next-key', mesh: MESH, key: next.publicKey, issuedAtMs: 1 } as const;
    const introduction = signStatement({ ...about, replaces: key.publicKey }, key);
    const { channel, claim } = taking(mesh.connect('edge1'));
    expect(() =>
      mesh.changeSigningKey({ introduction: signStatement({ ...about, replaces: next.publicKey }, next) }),
    ).toThrow(/not trusted/);
    expect(() => mesh.changeSigningKey({})).toThrow(/not on this coordinator/);
    expect(mesh.changeSigningKey({ introduction })).toMatchObject({ key: next.publicKey, unsigned: 3 });
    expect(channel.take()).toEqual(['keys']);
    mesh.signStates(sign({}, next));
    expect(channel.take()).toEqual(['unchanged']);
    mesh.restart();
    expect(mesh.connect('edge1', { ...claim, keys: [key.publicKey] }).take()).toEqual(['keys', 'unchanged', 'links']);
  });

  it('is one that the former has introduced', () => {
    const other = fileOf(signingKeyOf(generateSigningKey()));
    const options = { stateDir: mesh.folder, mesh: MESH, store: mesh.store.signing };
    expect(() => new SigningKeys({ ...options, offlineKey: other })).toThrow(/has not introduced/);
    expect(() => new SigningKeys({ ...options, offlineKey: '/nowhere' })).toThrow(/there is no file/);
    const secret = join(folder, 'secret');
    writeFileSync(secret, generateSigningKey());
    expect(() => new SigningKeys({ ...options, offlineKey: secret })).toThrow(/it is the private key/);
  });

  it('can take over from the coordinator’s own', () => {
    mesh[Symbol.dispose]();
    begin();
    apply(SEED_SPEC);
    expect(mesh.changeSigningKey({ key: key.publicKey })).toMatchObject({ offline: true, unsigned: 3 });
    expect(() => mesh.restart()).toThrow(/is another key/);
  });

  it('is what a node pins, and the former one while that has signed its state', async () => {
    apply(SEED_SPEC);
    mesh.signStates(sign());
    const next = signingKeyOf(generateSigningKey());
    const said = { kind: 'next-key', mesh: MESH, replaces: key.publicKey, key: next.publicKey, issuedAtMs: 1 } as const;
    mesh.changeSigningKey({ introduction: signStatement(said, key) });
    const replies = [await mesh.enrolled('edge1'), await mesh.enrolled('fourth')];
    expect(replies.map(({ signingKeys }) => signingKeys)).toEqual([[next.publicKey, key.publicKey], [next.publicKey]]);
  });
});
