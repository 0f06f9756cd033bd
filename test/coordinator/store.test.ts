import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import LibsqlDatabase from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENTS_MAX } from '../../src/coordinator/observation-store.ts';
import { emptyState } from '../../src/coordinator/compile-mesh.ts';
import type { Compiled } from '../../src/coordinator/mesh-store.ts';
import { openStore, type Store } from '../../src/coordinator/store.ts';
import type { MeshEvent } from '../../src/coordinator/api.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import { digestOf } from '../../src/json.ts';

const [A, B] = ['a', 'b'] as NodeName[] as [NodeName, NodeName];
const NOW = 1_700_000_000_000;

let folder: string;
let path: string;
let store: Store;

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
    const { epoch } = store;
    reopen();
    expect(store.epoch).toBe(epoch);
    const other = openStore(join(folder, 'other.db'));
    expect(other.epoch).not.toBe(epoch);
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
});

describe('applying a spec', () => {
  it('gives the new revision to the nodes whose state changed, and to no other', () => {
    expect(store.mesh.apply('one', compiled({ a: 'x', b: 'x' }), NOW)).toEqual({ revision: 1, changed: [A, B] });
    expect(store.mesh.apply('two', compiled({ a: 'x', b: 'y' }), NOW)).toEqual({ revision: 2, changed: [B] });
    reopen();
    expect(store.mesh.state(A)).toEqual({
      generation: 1,
      digest: digestOf(emptyState('x', A)),
      state: emptyState('x', A),
    });
    expect(store.mesh.versions().get(B)).toEqual({ generation: 2, digest: digestOf(emptyState('y', B)) });
    expect(store.mesh.currentSpec()).toEqual({ revision: 2, text: 'two', appliedAtMs: NOW });
  });

  it('makes no revision when nothing is new, and one for a new text with the same states', () => {
    store.mesh.apply('one', compiled({ a: 'x' }), NOW);
    expect(store.mesh.apply('one', compiled({ a: 'x' }), NOW + 1)).toEqual({ revision: 1, changed: [] });
    expect(store.mesh.apply('one # comment', compiled({ a: 'x' }), NOW)).toEqual({ revision: 2, changed: [] });
    expect(store.mesh.state(A)?.generation).toBe(1);
  });

  it('keeps the mesh address of every node that ever had one', () => {
    store.mesh.apply('one', compiled({ a: 'x' }, { a: '100.96.0.2', b: '100.96.0.4' }), NOW);
    store.mesh.apply('two', compiled({ a: 'y' }, { a: '100.96.0.6' }), NOW);
    reopen();
    expect(Object.fromEntries(store.mesh.addresses())).toEqual({ a: '100.96.0.6', b: '100.96.0.4' });
  });

  it('forgets old texts, never a state', () => {
    store.mesh.apply('first', compiled({ a: 'x' }), NOW);
    for (let round = 0; round < 150; round += 1)
      store.mesh.apply(`round ${round}`, compiled({ b: String(round) }), NOW);
    expect(store.mesh.currentSpec()?.revision).toBe(151);
    expect(store.mesh.state(A)?.generation).toBe(1);
  });
});

describe('a token', () => {
  const keys = { channelKey: 'c1', ikeKey: 'i1' };
  const record = { ...keys, channelCertificate: 'C', ikeCertificate: 'I', enrolledAtMs: NOW };

  beforeEach(() => store.admission.addToken('hash', A, NOW, NOW + 60_000));

  it('is consumed together with the node’s record', () => {
    expect(store.admission.enroll('hash', record)).toEqual({ kind: 'fresh', node: A });
    reopen();
    expect(store.admission.node(A)).toEqual({ name: A, ...record });
    expect(store.admission.nodeOfChannelKey('c1')).toBe(A);
  });

  it('gives the same keys the same again while it is valid', () => {
    store.admission.enroll('hash', record);
    const again = { ...record, channelCertificate: 'other', enrolledAtMs: NOW + 1 };
    expect(store.admission.enroll('hash', again)).toEqual({ kind: 'repeated', record: { name: A, ...record } });
    expect(store.admission.checkToken('hash', keys, NOW + 60_000)).toEqual({ kind: 'refused', reason: 'expired' });
  });

  it.each([
    ['other keys, once used', 'hash', { channelKey: 'c2', ikeKey: 'i1' }, 'used'],
    ['a hash that was never made', 'nope', keys, 'unknown'],
  ])('refuses %s', (_what, hash, other, reason) => {
    store.admission.enroll('hash', record);
    expect(store.admission.enroll(hash, { ...record, ...other })).toEqual({ kind: 'refused', reason });
    expect(store.admission.node(A)?.channelKey).toBe('c1');
  });

  it('refuses a key that another node has, in either role', () => {
    store.admission.enroll('hash', record);
    store.admission.addToken('hash-b', B, NOW, NOW + 60_000);
    const swapped = { channelKey: 'i1', ikeKey: 'new' };
    expect(store.admission.checkToken('hash-b', swapped, NOW)).toEqual({ kind: 'refused', reason: 'key-in-use' });
    expect(store.admission.nodes().map(({ name }) => name)).toEqual([A]);
  });

  it('for a node that has enrolled before replaces its keys', () => {
    store.admission.enroll('hash', record);
    store.admission.addToken('second', A, NOW, NOW + 60_000);
    store.admission.enroll('second', { ...record, channelKey: 'c9', ikeKey: 'i9' });
    expect(store.admission.nodeOfChannelKey('c1')).toBeUndefined();
    expect(store.admission.nodeOfChannelKey('c9')).toBe(A);
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
    store.admission.addToken('hash', A, NOW, NOW + 60_000);
    const keys = { channelKey: 'c', ikeKey: 'i', channelCertificate: 'C', ikeCertificate: 'I' };
    store.admission.enroll('hash', { ...keys, enrolledAtMs: NOW });
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
