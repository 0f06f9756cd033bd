import { z } from 'zod';
import { canonicalJson } from '../json.ts';
import { auditRecordSchema, chained, type AuditEntry, type AuditRecord, type ChainPosition } from './audit-record.ts';
import type { Database } from './database.ts';

const row = z.object({ record: z.string() });
const positionRow = z.object({ id: z.number(), hash: z.string() });

/**
 * The audit log on disk. The database itself refuses to change a record, to insert one anywhere but at the end, and to
 * remove one that the log's start has not passed (migrations.ts).
 */
export class AuditStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Runs a change of the store and writes the entry that it comes to, both or neither. */
  change<T>(work: () => T, entryOf: (result: T) => AuditEntry): { readonly result: T; readonly record: AuditRecord } {
    return this.#database.transaction(() => {
      const result = work();
      return { result, record: this.#append(entryOf(result)) };
    });
  }

  append(entry: AuditEntry): AuditRecord {
    return this.#database.transaction(() => this.#append(entry));
  }

  /** At most `limit` records after the one with this id, oldest first. */
  after(id: number, limit: number): readonly AuditRecord[] {
    return this.#database
      .all(row, 'SELECT record FROM audit WHERE id > ? ORDER BY id LIMIT ?', id, limit)
      .map(({ record }) => auditRecordSchema.parse(JSON.parse(record)));
  }

  /** The newest record; the start when there is none. */
  head(): ChainPosition {
    return this.#database.get(positionRow, 'SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1') ?? this.start();
  }

  /** The record after which the log begins: the last one that was removed, or number 0. */
  start(): ChainPosition {
    const found = this.#database.get(positionRow, 'SELECT id, hash FROM audit_start');
    if (found === undefined) throw new TypeError('the audit log has lost its start');
    return found;
  }

  /** The place of a record that is kept. */
  position(id: number): ChainPosition | undefined {
    return this.#database.get(positionRow, 'SELECT id, hash FROM audit WHERE id = ?', id);
  }

  /** Removes the records up to this one, which must be kept now. To be called in a `change`. */
  removeThrough({ id, hash }: ChainPosition): void {
    this.#database.run('UPDATE audit_start SET id = ?, hash = ?', id, hash);
    this.#database.run('DELETE FROM audit WHERE id <= ?', id);
  }

  #append(entry: AuditEntry): AuditRecord {
    const record = chained(entry, this.head());
    const sql = 'INSERT INTO audit (id, hash, record) VALUES (?, ?, ?)';
    this.#database.run(sql, record.id, record.hash, canonicalJson(record));
    return record;
  }
}
