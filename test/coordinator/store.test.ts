import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import LibsqlDatabase from 'libsql';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Applicant, NodeKeys, NodeRecord, TokenCheck } from '../../src/coordinator/admission-store.ts';
import { MIGRATIONS } from '../../src/coordinator/migrations.ts';
import { EVENTS_MAX } from '../../src/coordinator/observation-store.ts';
import { emptyState } from '../../src/coordinator/compile-mesh.ts';
import type { ApplyOptions, Compiled } from '../../src/coordinator/mesh-store.ts';
import { openStore, type Store } from '../../src/coordinator/store.ts';
import type { TokenSubject } from '../../src/coordinator/token-store.ts';
import type { MeshEvent } from '../../src/coordinator/api.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { spkiSha256 } from '../../src/identity/spki.ts';
import { hashTokenSecret } from '../../src/identity/token.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import { canonicalJson, digestOf } from '../../src/json.ts';
import { meshCa, somePublicKey } from '../identity/mesh.ts';

const [A, B] = ['a', 'b'] as NodeName[] as [NodeName, NodeName];
const NOW = 1_700_000_000_000;
const options: ApplyOptions = { nowMs: NOW, mayRemove: () => false };

let ca: MeshCa;
let one: Issued;
let two: Issued;
let three: Issued;
let folder: string;
let path: string;
let store: Store;

beforeAll(async () => {
  ca = await meshCa();
  [one, two, three] = [await issuedFor(A), await issuedFor(B), await issuedFor(B)];
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-store-'));
  path = join(folder, 'coordinator.db');
  store = openStore(path);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function reopen(): void {
  store.close();
  store = openStore(path);
}

/** A state for each node, and the nodes' mesh addresses. */
function compiled(
  entries: Readonly<Record<string, string>>,
  addresses: Readonly<Record<string, string>> = {},
): Compiled {
  const states = Object.entries(entries).map(([node, mesh]): [NodeName, DesiredState] => [
    node as NodeName,
    emptyState(mesh, node as NodeName),
  ]);
  return { states: new Map(states), addresses: new Map(Object.entries(addresses) as [NodeName, string][]) };
}

describe('the store', () => {
  it('keeps its epoch, and a new one has another', () => {
    const { epoch } = store.signing;
    reopen();
    expect(store.signing.epoch).toBe(epoch);
    const other = openStore(join(folder, 'other.db'));
    expect(other.signing.epoch).not.toBe(epoch);
    other.close();
  });

  it('lets one coordinator in at a time', () => {
    expect(() => openStore(path)).toThrow(expect.objectContaining({ name: 'StoreError', code: 'in-use' }));
  });

  it('refuses a file that is no database, and one of a later version', () => {
    const garbage = join(folder, 'garbage.db');
    writeFileSync(garbage, 'not a database'.repeat(200));
    expect(() => openStore(garbage)).toThrow(expect.objectContaining({ code: 'unusable' }));
    const later = join(folder, 'later.db');
    const database = new LibsqlDatabase(later);
    database.exec('PRAGMA user_version = 1000');
    database.close();
    expect(() => openStore(later)).toThrow(expect.objectContaining({ code: 'newer' }));
  });

  it('of the form in which each node had an IKE certificate of the mesh keeps all that it holds of a node', () => {
    const earlier = join(folder, 'earlier.db');
    const database = new LibsqlDatabase(earlier);
    for (const migration of MIGRATIONS.slice(0, 10)) database.exec(migration);
    database.exec(`PRAGMA user_version = 10;
      INSERT INTO nodes VALUES ('a', 'channel', 'ike', 'channel PEM', 'ike PEM', ${NOW}, 'hash');
      INSERT INTO next_channel_certificates VALUES ('a', 'next', 'next PEM');
      INSERT INTO node_statuses VALUES ('a', ${NOW}, NULL, NULL);`);
    database.close();
    const opened = openStore(earlier);
    const certificates = { channelCertificate: 'channel PEM', ikeCertificate: 'ike PEM' };
    const keys = { channelKey: 'channel', ikeKey: 'ike' };
    expect(opened.admission.nodes()).toEqual([{ name: A, ...keys, ...certificates, enrolledAtMs: NOW }]);
    expect(opened.renewals.certified(A, 'channel').map(({ key }) => key)).toEqual(['channel', 'next']);
    expect(opened.observations.statuses().get(A)?.lastSeenMs).toBe(NOW);
    // What refers to a node still goes with it.
    opened.admission.revoke(A, null, NOW);
    opened.admission.readmit(A, NOW);
    expect(opened.observations.statuses().size).toBe(0);
    opened.close();
  });
});

describe('applying a spec', () => {
  it('gives the new revision to the nodes whose state changed, and to no other', () => {
    expect(store.mesh.apply('one', compiled({ a: 'x', b: 'x' }), options)).toEqual({ revision: 1, changed: [A, B] });
    expect(store.mesh.apply('two', compiled({ a: 'x', b: 'y' }), options)).toEqual({ revision: 2, changed: [B] });
    reopen();
    expect(store.mesh.state(A)).toEqual({
      generation: 1,
      digest: digestOf(emptyState('x', A)),
      text: canonicalJson(emptyState('x', A)),
      allowMassRemoval: false,
    });
    expect(store.mesh.versions().get(B)).toEqual({
      generation: 2,
      digest: digestOf(emptyState('y', B)),
      allowMassRemoval: false,
    });
    expect(store.mesh.currentSpec()).toEqual({ revision: 2, text: 'two', appliedAtMs: NOW });
  });

  it('makes no revision when nothing is new, and one for a new text with the same states', () => {
    store.mesh.apply('one', compiled({ a: 'x' }), options);
    expect(store.mesh.apply('one', compiled({ a: 'x' }), { ...options, nowMs: NOW + 1 })).toEqual({
      revision: 1,
      changed: [],
    });
    expect(store.mesh.apply('one # comment', compiled({ a: 'x' }), options)).toEqual({ revision: 2, changed: [] });
    expect(store.mesh.state(A)?.generation).toBe(1);
  });

  it('keeps the mesh address of every node that ever had one', () => {
    store.mesh.apply('one', compiled({ a: 'x' }, { a: '100.96.0.2', b: '100.96.0.4' }), options);
    store.mesh.apply('two', compiled({ a: 'y' }, { a: '100.96.0.6' }), options);
    reopen();
    expect(Object.fromEntries(store.mesh.addresses())).toEqual({ a: '100.96.0.6', b: '100.96.0.4' });
  });

  it('forgets old texts, never a state', () => {
    store.mesh.apply('first', compiled({ a: 'x' }), options);
    for (let round = 0; round < 150; round += 1)
      store.mesh.apply(`round ${round}`, compiled({ b: String(round) }), options);
    expect(store.mesh.currentSpec()?.revision).toBe(151);
    expect(store.mesh.state(A)?.generation).toBe(1);
  });
});

/** Two certificates and what is known of a node that has them. */
interface Issued {
  readonly keys: NodeKeys;
  readonly record: Omit<NodeRecord, 'name' | keyof NodeKeys>;
}

async function issuedFor(node: NodeName): Promise<Issued> {
  const [channel, ike] = [await somePublicKey(), await somePublicKey()];
  const nowMs = NOW;
  return {
    keys: { channelKey: spkiSha256(channel), ikeKey: spkiSha256(ike) },
    record: {
      channelCertificate: await issueChannelCertificate(ca, { node, publicKey: channel, nowMs }),
      ikeCertificate: await issueIkeCertificate(ca, { node, publicKey: ike, nowMs }),
      enrolledAtMs: NOW,
    },
  };
}

const hashOf = (name: string): string => hashTokenSecret(name);

function addToken(name: string, subject: TokenSubject = { node: A }, uses = 1): string {
  return store.admission.addToken({ hash: hashOf(name), subject, uses, expiresAtMs: NOW + 60_000 }, NOW);
}

/** Who comes with these keys, and by what name. */
function applicant({ keys }: Pick<Issued, 'keys'>, name?: NodeName, groups: readonly string[] = []): Applicant {
  return { keys, name, groups };
}

const enroll = (token: string, issued: Issued, name?: NodeName, groups?: readonly string[]): TokenCheck =>
  store.admission.enroll(hashOf(token), applicant(issued, name, groups), issued.record);

/** What a token still gives at its end. */
const checkLate = (token: string, issued: Issued): TokenCheck =>
  store.admission.checkToken(hashOf(token), applicant(issued), NOW + 60_000);

describe('a token', () => {
  beforeEach(() => addToken('first'));

  it('is consumed together with the node’s record', () => {
    expect(enroll('first', one)).toEqual({ kind: 'fresh', node: A });
    reopen();
    expect(store.admission.node(A)).toEqual({ name: A, ...one.keys, ...one.record });
    expect(store.admission.nodeOfChannelKey(one.keys.channelKey)).toBe(A);
  });

  it.each([
    ['while it is valid', NOW + 1],
    ['after its end', NOW + 60_000],
  ])('gives the same keys the same again %s', (_when, enrolledAtMs) => {
    enroll('first', one);
    const again = { ...one, record: { ...two.record, enrolledAtMs } };
    const record = { name: A, ...one.keys, ...one.record };
    expect(enroll('first', again)).toEqual({ kind: 'repeated', record });
    reopen();
    expect(store.admission.node(A)).toEqual(record);
  });

  it('lets in nobody new from its end on', () => {
    expect(checkLate('first', one)).toEqual({ kind: 'refused', reason: 'expired' });
  });

  it('has nothing for a retry after its end when other keys have replaced them, or the node was thrown out', () => {
    enroll('first', one);
    addToken('second');
    enroll('second', two);
    expect(checkLate('first', one)).toEqual({ kind: 'refused', reason: 'expired' });
    expect(checkLate('second', two)).toMatchObject({ kind: 'repeated' });
    store.admission.revoke(A, null, NOW);
    expect(checkLate('second', two)).toEqual({ kind: 'refused', reason: 'expired' });
    store.admission.readmit(A, NOW);
    expect(checkLate('second', two)).toEqual({ kind: 'refused', reason: 'expired' });
  });

  it.each([
    ['other keys, once used', 'first', 'used'],
    ['one that was never made', 'nope', 'unknown'],
  ])('refuses %s', (_what, token, reason) => {
    enroll('first', one);
    expect(enroll(token, two)).toEqual({ kind: 'refused', reason });
    expect(store.admission.node(A)?.channelKey).toBe(one.keys.channelKey);
  });

  it('is refused when only its id fits, which anybody can know', () => {
    const hash = `${hashOf('first').slice(0, 12)}${'0'.repeat(52)}`;
    expect(store.admission.checkToken(hash, applicant(one), NOW)).toEqual({ kind: 'refused', reason: 'unknown' });
  });

  it('refuses a key that another node has, in either role', () => {
    enroll('first', one);
    addToken('b', { node: B });
    const swapped = { ...two, keys: { channelKey: one.keys.ikeKey!, ikeKey: two.keys.ikeKey } };
    expect(enroll('b', swapped)).toEqual({ kind: 'refused', reason: 'key-in-use' });
    expect(store.admission.nodes().map(({ name }) => name)).toEqual([A]);
  });

  it('refuses a node that says that it is another one', () => {
    expect(enroll('first', one, B)).toEqual({ kind: 'refused', reason: 'other-node' });
    expect(enroll('first', one, A)).toEqual({ kind: 'fresh', node: A });
  });

  it('for a node that has enrolled before replaces its keys', () => {
    enroll('first', one);
    addToken('second');
    enroll('second', two);
    expect(store.admission.nodeOfChannelKey(one.keys.channelKey)).toBeUndefined();
    expect(store.admission.nodeOfChannelKey(two.keys.channelKey)).toBe(A);
  });

  it('is useless once revoked, for a retry too', () => {
    enroll('first', one);
    const [token] = store.admission.tokens.list(NOW);
    expect(token).toMatchObject({ subject: { node: A }, uses: 1, usesLeft: 0, isRevoked: false });
    expect(store.admission.tokens.revoke(token?.id ?? '', NOW)).toBe(true);
    expect(enroll('first', one)).toEqual({ kind: 'refused', reason: 'revoked' });
    expect(store.admission.tokens.revoke('0123456789ab', NOW)).toBe(false);
  });

  it('is listed until it expires, the newest first', () => {
    const newer = addToken('b', { group: 'edges' }, 3);
    expect(store.admission.tokens.list(NOW).map(({ id }) => id)).toEqual([newer, hashOf('first').slice(0, 12)]);
    expect(store.admission.tokens.list(NOW + 60_000)).toEqual([]);
  });
});

describe('a node whose IKE certificate the operator places', () => {
  const placed = ({ keys, record }: Issued): Issued => ({
    keys: { ...keys, ikeKey: undefined },
    record: { ...record, ikeCertificate: undefined },
  });

  beforeEach(() => {
    addToken('edges', { group: 'edges' }, 3);
    enroll('edges', placed(one), A, ['edges']);
  });

  it('enrols beside others without a key for IKE, and again with the same', () => {
    expect(enroll('edges', placed(two), B, ['edges'])).toEqual({ kind: 'fresh', node: B });
    reopen();
    expect(store.admission.node(A)).toEqual({ name: A, ...placed(one).keys, ...placed(one).record });
    expect(enroll('edges', placed(one), A, ['edges'])).toMatchObject({ kind: 'repeated', record: { name: A } });
    expect(enroll('edges', one, A, ['edges'])).toEqual({ kind: 'refused', reason: 'not-in-group' });
  });

  it('has an end of its channel certificate, and none for IKE', () => {
    const channel = Date.parse(new X509Certificate(one.record.channelCertificate).validTo);
    expect(store.renewals.ends().get(A)).toEqual({ channel, ike: null });
    expect(store.renewals.certified(A, 'ike')).toEqual([]);
  });

  it('is revoked by its channel key, and barred with it', () => {
    store.admission.revoke(A, null, NOW);
    expect(store.admission.revocations.revokedCount()).toBe(1);
    expect(enroll('edges', placed(one), A, ['edges'])).toEqual({ kind: 'refused', reason: 'key-barred' });
  });
});

describe('a token of a group', () => {
  beforeEach(() => addToken('edges', { group: 'edges' }, 2));

  it('lets in so many of its nodes, by their names, and each again with its keys', () => {
    expect(enroll('edges', one, A, ['edges'])).toEqual({ kind: 'fresh', node: A });
    expect(enroll('edges', one, A, ['edges'])).toMatchObject({ kind: 'repeated', record: { name: A } });
    expect(enroll('edges', two, B, ['edges', 'more'])).toEqual({ kind: 'fresh', node: B });
    expect(store.admission.tokens.list(NOW)[0]?.usesLeft).toBe(0);
    expect(enroll('edges', three, 'c' as NodeName, ['edges'])).toEqual({ kind: 'refused', reason: 'used' });
    expect(enroll('edges', two, B, ['edges'])).toMatchObject({ kind: 'repeated', record: { name: B } });
  });

  it('has to be told which node comes', () => {
    expect(enroll('edges', one)).toEqual({ kind: 'refused', reason: 'name-needed' });
  });

  it('refuses a node of another group, and one that has enrolled', () => {
    expect(enroll('edges', one, A, ['hubs'])).toEqual({ kind: 'refused', reason: 'not-in-group' });
    enroll('edges', one, A, ['edges']);
    expect(enroll('edges', two, A, ['edges'])).toEqual({ kind: 'refused', reason: 'not-in-group' });
    expect(store.admission.tokens.list(NOW)[0]?.usesLeft).toBe(1);
  });
});

describe('a revoked node', () => {
  beforeEach(() => {
    addToken('first');
    addToken('spare');
    addToken('edges', { group: 'edges' }, 5);
    enroll('first', one);
    store.admission.revoke(A, 'stolen', NOW + 1);
  });

  it('is known by none of its keys any more, after a restart either', () => {
    reopen();
    expect(store.admission.nodeOfChannelKey(one.keys.channelKey)).toBeUndefined();
    expect(store.admission.revocations.formerOwnerOf(one.keys.channelKey)).toBe(A);
    expect(store.admission.revocations.formerOwnerOf(one.keys.ikeKey!)).toBe(A);
    expect(store.admission.revocations.of(A)).toEqual({ node: A, reason: 'stolen', revokedAtMs: NOW + 1 });
  });

  it('stays revoked for the first reason', () => {
    expect(store.admission.revoke(A, 'again', NOW + 2)).toBe(false);
    expect(store.admission.revocations.inForce()).toEqual([{ node: A, reason: 'stolen', revokedAtMs: NOW + 1 }]);
  });

  it('gets nothing for any token, with its own keys or with others', () => {
    expect(enroll('first', one)).toEqual({ kind: 'refused', reason: 'key-barred' });
    expect(enroll('spare', one)).toEqual({ kind: 'refused', reason: 'key-barred' });
    expect(enroll('spare', two)).toEqual({ kind: 'refused', reason: 'node-revoked' });
    expect(enroll('edges', one, B, ['edges'])).toEqual({ kind: 'refused', reason: 'key-barred' });
  });

  it('has its certificates on the list until they expire', () => {
    const serials = [one.record.channelCertificate, one.record.ikeCertificate!].map((pem) =>
      new X509Certificate(pem).serialNumber.toLowerCase(),
    );
    const listed = store.admission.revocations.revokedCertificates(NOW, 10);
    expect(listed.map(({ serial }) => serial).toSorted()).toEqual(serials.toSorted());
    expect(store.admission.revocations.revokedCertificates(NOW, 1)).toHaveLength(1);
    expect(store.admission.revocations.revokedCertificates(NOW + 400 * 86_400_000, 10)).toEqual([]);
    expect(store.admission.revocations.revokedCount()).toBe(2);
  });

  it('comes back after its readmission with a new token and new keys, and with neither of the old', () => {
    expect(store.admission.readmit(A, NOW + 2)).toBe(true);
    expect(store.admission.readmit(A, NOW + 2)).toBe(false);
    expect(store.admission.node(A)).toBeUndefined();
    expect(enroll('spare', two)).toEqual({ kind: 'refused', reason: 'revoked' });
    expect(enroll('edges', two, A, ['edges'])).toEqual({ kind: 'refused', reason: 'revoked' });
    addToken('new');
    expect(enroll('new', one)).toEqual({ kind: 'refused', reason: 'key-barred' });
    expect(enroll('new', two)).toEqual({ kind: 'fresh', node: A });
    expect(store.admission.nodeOfChannelKey(two.keys.channelKey)).toBe(A);
    expect(store.admission.revocations.formerOwnerOf(one.keys.channelKey)).toBe(A);
  });

  it('lets every other node come with the tokens that it had', () => {
    expect(enroll('edges', two, B, ['edges'])).toEqual({ kind: 'fresh', node: B });
  });
});

describe('what nodes told', () => {
  const event = (id: number): MeshEvent => ({
    id,
    atMs: NOW,
    node: 'a',
    kind: 'ike-up',
    connection: null,
    child: null,
    message: `event ${id}`,
  });

  beforeEach(() => {
    addToken('first');
    enroll('first', one);
  });

  it('is there after a restart', () => {
    const outcome = { generation: 3, ok: false, outcomes: [{ resource: 'cygnet-x', ok: false, message: 'why' }] };
    store.observations.write(new Map([[A, { lastSeenMs: NOW, report: null, outcome }]]), [event(1)]);
    reopen();
    expect(store.observations.statuses().get(A)).toEqual({ lastSeenMs: NOW, report: null, outcome });
    expect(store.observations.eventsAfter(0, 10)).toEqual([event(1)]);
    expect(store.observations.lastEventId()).toBe(1);
  });

  it('is read in portions, oldest first', () => {
    store.observations.write(new Map(), [event(1), event(2), event(3)]);
    expect(store.observations.eventsAfter(1, 1)).toEqual([event(2)]);
  });

  it('is bounded: the oldest events go', () => {
    store.observations.write(new Map(), [event(1), event(2)]);
    store.observations.write(new Map(), [event(EVENTS_MAX + 1)]);
    expect(store.observations.eventsAfter(0, 10).map(({ id }) => id)).toEqual([2, EVENTS_MAX + 1]);
  });

  it('is written in whole or not at all', () => {
    expect(() => store.observations.write(new Map(), [event(1), event(1)])).toThrow(/UNIQUE/);
    expect(store.observations.lastEventId()).toBe(0);
  });
});
