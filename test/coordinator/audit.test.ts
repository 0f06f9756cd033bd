import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import LibsqlDatabase from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AuditLog, type Origin } from '../../src/coordinator/audit-log.ts';
import { CHAIN_START, chainProblem, type AuditRecord } from '../../src/coordinator/audit-record.ts';
import { openStore, type Store } from '../../src/coordinator/store.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { createLogger } from '../../src/log.ts';

const OWNER: Origin = { actor: { kind: 'socket', name: null }, remote: null };
const stranger = (remote: string): Origin => ({ actor: { kind: 'stranger', name: null }, remote });
const NODE = 'edge1' as NodeName;
const MINUTE_MS = 60_000;

let folder: string;
let store: Store;
let audit: AuditLog;
let nowMs: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-audit-'));
  nowMs = 1_700_000_000_000;
  store = openStore(join(folder, 'coordinator.db'));
  audit = logOn(store);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function logOn({ audit: records }: Store): AuditLog {
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  return new AuditLog({ store: records, clock, logger: createLogger('test', 'silent') });
}

const records = (): readonly AuditRecord[] => audit.after(0, 10_000);
const summary = (): unknown[] =>
  records().map(({ action, target, outcome, times }) => [action, target, outcome, times] as const);

function did(action: string): void {
  audit.begin(action, OWNER).succeeded();
}

function isWhole(): boolean {
  let position = audit.start;
  for (const record of records()) {
    if (chainProblem(record, position) !== undefined) return false;
    position = record;
  }
  return position.hash === audit.head.hash;
}

describe('an attempt', () => {
  it('leaves one record: who, from where, what, about what, how it ended, when', () => {
    const attempt = audit.begin('token.create', { actor: { kind: 'api-token', name: 'ci' }, remote: '192.0.2.9' });
    attempt.about('edge1', { ttlSeconds: 60 });
    attempt.succeeded();
    expect(records()).toEqual([
      {
        id: 1,
        atMs: nowMs,
        actor: { kind: 'api-token', name: 'ci' },
        remote: '192.0.2.9',
        action: 'token.create',
        target: 'edge1',
        outcome: 'done',
        reason: null,
        details: { ttlSeconds: 60 },
        times: 1,
        previous: CHAIN_START,
        hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      },
    ]);
  });

  const addToken = (): string =>
    store.admission.addToken({ hash: 'h', subject: { node: NODE }, uses: 1, expiresAtMs: nowMs + 1 }, nowMs);

  it('is recorded with its change, or not at all', () => {
    const attempt = audit.begin('token.create', OWNER);
    const change = (): void => {
      addToken();
      throw new Error('the disk is full');
    };
    expect(() => attempt.commit(change)).toThrow('the disk is full');
    attempt.failed(new Error('the disk is full'));
    expect(store.admission.tokens.list(nowMs)).toEqual([]);
    expect(summary()).toEqual([['token.create', null, 'failed', 1]]);
  });

  it('undoes its change when it cannot be recorded', () => {
    const attempt = audit.begin('token.create', OWNER);
    const change = (): unknown => addToken();
    const circular = (): never => {
      throw new Error('no record');
    };
    expect(() => attempt.commit(change, circular)).toThrow('no record');
    expect(store.admission.tokens.list(nowMs)).toEqual([]);
  });

  it('that has committed is not recorded again', () => {
    const attempt = audit.begin('spec.apply', OWNER);
    attempt.commit(() => undefined);
    attempt.succeeded();
    attempt.failed(new Error('a node could not be told'));
    expect(summary()).toEqual([['spec.apply', null, 'done', 1]]);
  });

  it('that was to change nothing leaves nothing', () => {
    const attempt = audit.begin('spec.apply', OWNER);
    attempt.changedNothing();
    attempt.succeeded();
    expect(records()).toEqual([]);
  });

  it('has bounded texts, for some of them are from outside', () => {
    const attempt = audit.begin('enrol', stranger('192.0.2.7'));
    attempt.about('n'.repeat(10_000), { agent: 'a'.repeat(10_000) });
    attempt.refused('r'.repeat(10_000));
    expect(JSON.stringify(records()).length).toBeLessThan(2500);
  });
});

describe('refusals', () => {
  const refuse = (remote: string, reason = 'no such token'): void =>
    audit.begin('api.use', stranger(remote)).refused(reason);

  it('of one kind are two records within ten minutes, however many there were', () => {
    for (let attempt = 0; attempt < 1000; attempt += 1) refuse('192.0.2.7');
    expect(records()).toMatchObject([{ outcome: 'refused', remote: '192.0.2.7', times: 1 }]);
    nowMs += 9 * MINUTE_MS;
    audit.flush();
    expect(records()).toHaveLength(1);
    nowMs += MINUTE_MS;
    audit.flush();
    expect(records()).toMatchObject([{ times: 1 }, { times: 999 }]);
    refuse('192.0.2.7');
    expect(records()).toHaveLength(3);
  });

  it('of many kinds are told apart up to a limit, and then counted together', () => {
    for (let address = 0; address < 250; address += 1) {
      refuse(`192.0.2.${address}`);
      refuse(`192.0.2.${address}`);
    }
    expect(records()).toHaveLength(20);
    audit.flush({ all: true });
    expect(records()).toHaveLength(41);
    expect(records().at(-1)).toMatchObject({ action: 'other', remote: null, times: 460 });
  });

  it('of strangers do not hide those of somebody who is known', () => {
    for (let address = 0; address < 250; address += 1) refuse(`192.0.2.${address}`);
    audit.begin('spec.apply', { actor: { kind: 'api-token', name: 'ci' }, remote: '192.0.2.7' }).refused('no');
    expect(records().at(-1)).toMatchObject({ actor: { name: 'ci' }, action: 'spec.apply', outcome: 'refused' });
  });
});

describe('the log', () => {
  it('goes on in one chain after a restart', () => {
    did('a');
    store.close();
    store = openStore(join(folder, 'coordinator.db'));
    audit = logOn(store);
    did('b');
    expect(records().map(({ id }) => id)).toEqual([1, 2]);
    expect(isWhole()).toBe(true);
  });

  it('can be cut at its start only, and says so itself', () => {
    for (const action of ['a', 'b', 'c']) did(action);
    const second = audit.position(2)!;
    audit.prune(second, audit.begin('audit.prune', OWNER));
    expect(audit.start).toEqual(second);
    expect(summary()).toEqual([
      ['c', null, 'done', 1],
      ['audit.prune', null, 'done', 1],
    ]);
    expect(isWhole()).toBe(true);
  });

  it('may be cut whole, and still goes on', () => {
    did('a');
    audit.prune(audit.head, audit.begin('audit.prune', OWNER));
    expect(records().map(({ id }) => id)).toEqual([2]);
    expect(isWhole()).toBe(true);
  });

  it('drops its oldest when there are too many', () => {
    store.close();
    const raw = new LibsqlDatabase(join(folder, 'coordinator.db'));
    raw.exec(`
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200001)
      INSERT INTO audit (id, hash, record) SELECT i, printf('%064x', i), '{}' FROM n`);
    raw.close();
    store = openStore(join(folder, 'coordinator.db'));
    audit = logOn(store);
    audit.flush();
    expect(audit.start).toEqual({ id: 10_000, hash: (10_000).toString(16).padStart(64, '0') });
    expect(audit.after(200_001, 10)).toMatchObject([
      { id: 200_002, action: 'audit.prune', actor: { kind: 'coordinator' }, details: { through: 10_000 } },
    ]);
  });
});

describe('the database itself', () => {
  const tried = (sql: string): (() => void) => {
    for (const action of ['a', 'b', 'c']) did(action);
    store.close();
    return () => {
      const raw = new LibsqlDatabase(join(folder, 'coordinator.db'));
      try {
        raw.exec(sql);
      } finally {
        raw.close();
      }
    };
  };

  it.each([
    ["UPDATE audit SET record = '{}' WHERE id = 2", 'an audit record never changes'],
    ['UPDATE audit SET id = 9 WHERE id = 3', 'an audit record never changes'],
    ['DELETE FROM audit WHERE id = 3', 'removed from the start only'],
    ['DELETE FROM audit', 'removed from the start only'],
    ["INSERT INTO audit (id, hash, record) VALUES (9, '', '')", 'added at the end only'],
    ["INSERT OR REPLACE INTO audit (id, hash, record) VALUES (2, '', '')", 'added at the end only'],
    ["UPDATE audit_start SET id = 2, hash = 'x'", 'begins after a record that it has'],
    ['UPDATE audit_start SET id = 9', 'begins after a record that it has'],
    ['DELETE FROM audit_start', 'one start'],
  ])('refuses %s', (sql, message) => {
    const run = tried(sql);
    try {
      expect(run).toThrow(message);
    } finally {
      store = openStore(join(folder, 'coordinator.db'));
      audit = logOn(store);
    }
    expect(isWhole()).toBe(true);
  });
});
