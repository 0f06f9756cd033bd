import LibsqlDatabase from 'libsql';
import type { z } from 'zod';
import { messageOf, systemCodeOf } from '../errors.ts';
import { MIGRATIONS } from './migrations.ts';

/**
 * `in-use`: another coordinator has it open. `newer`: made by a later version. `not-written`: the disk did not take a change,
 * of which nothing has come about. `unusable`: anything else.
 */
export type StoreErrorCode = 'in-use' | 'newer' | 'not-written' | 'unusable';

/** The coordinator's database cannot be opened, or not be written. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type SqlValue = string | number | null;

/**
 * The SQLite file: one owner at a time, every committed transaction on disk before the call returns. Rows are checked
 * against a schema where they are read. Not for use after `close`.
 */
export class Database {
  readonly #database: LibsqlDatabase.Database;
  readonly #statements = new Map<string, LibsqlDatabase.Statement>();

  /** Opens or creates the file, and brings it to this version's form. Throws a StoreError. */
  constructor(path: string) {
    try {
      this.#database = new LibsqlDatabase(path);
      this.#prepareFile();
    } catch (error) {
      throw openFailure(path, error);
    }
  }

  /** Every row of a query; `sql` must be a constant, for its compiled form is kept. */
  all<T>(row: z.ZodType<T>, sql: string, ...values: SqlValue[]): T[] {
    return this.#statement(sql)
      .all(values)
      .map((found) => row.parse(found));
  }

  get<T>(row: z.ZodType<T>, sql: string, ...values: SqlValue[]): T | undefined {
    const found = this.#statement(sql).get(values);
    return found === undefined ? undefined : row.parse(found);
  }

  run(sql: string, ...values: SqlValue[]): void {
    this.#statement(sql).run(values);
  }

  /**
   * All of it or, when `work` throws, nothing. Within another one it is part of that, which must then not catch what it throws.
   * Throws a StoreError when it is the disk that does not take it.
   */
  transaction<T>(work: () => T): T {
    if (this.#database.inTransaction) return work();
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      const result = work();
      this.#database.exec('COMMIT');
      return result;
    } catch (error) {
      // After some failures SQLite has rolled back by itself; to do so again would fail, and hide why.
      if (this.#database.inTransaction) this.#database.exec('ROLLBACK');
      throw isOfDisk(error) ? new StoreError('not-written', messageOf(error), { cause: error }) : error;
    }
  }

  /** Writes a copy of all that is committed to a file that must not be there yet. Nothing else runs meanwhile. */
  copyTo(path: string): void {
    this.#database.prepare('VACUUM INTO ?').run(path);
  }

  /** What SQLite finds damaged in the file, in its words; empty when nothing is. */
  damage(): readonly string[] {
    const found = this.#database.prepare('PRAGMA integrity_check').all() as { readonly integrity_check: string }[];
    return found.map((row) => row.integrity_check).filter((finding) => finding !== 'ok');
  }

  /** Idempotent. Folds the log into the file, which is then complete by itself. */
  close(): void {
    if (!this.#database.open) return;
    // libsql cannot finalize statements, and until they are collected the connection keeps its lock. Leaving WAL and
    // reading once gives it back at once.
    this.#database.pragma('journal_mode = DELETE');
    this.#database.pragma('locking_mode = NORMAL');
    this.#database.pragma('user_version');
    this.#database.close();
  }

  #statement(sql: string): LibsqlDatabase.Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#database.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }

  #prepareFile(): void {
    // The lock keeps a second coordinator out: two would hand out the same generations for different states.
    this.#database.pragma('locking_mode = EXCLUSIVE');
    this.#database.pragma('journal_mode = WAL');
    this.#database.pragma('synchronous = FULL');
    this.#database.pragma('foreign_keys = ON');
    this.transaction(() => this.#migrate());
  }

  #migrate(): void {
    const found = this.#database.pragma('user_version', { simple: true });
    const version = (found as { readonly user_version: number }).user_version;
    if (version > MIGRATIONS.length) {
      throw new StoreError('newer', `it has form ${version}, and this version knows up to ${MIGRATIONS.length}`);
    }
    for (const migration of MIGRATIONS.slice(version)) this.#database.exec(migration);
    this.#database.pragma(`user_version = ${MIGRATIONS.length}`);
  }
}

function isOfDisk(error: unknown): boolean {
  return /^SQLITE_(?:FULL|IOERR)/.test(systemCodeOf(error) ?? '');
}

function openFailure(path: string, cause: unknown): StoreError {
  const because = `${path}: ${messageOf(cause)}`;
  if (cause instanceof StoreError) return new StoreError(cause.code, because, { cause });
  const inUse = systemCodeOf(cause) === 'SQLITE_BUSY';
  return inUse
    ? new StoreError('in-use', `${path}: another coordinator uses it`, { cause })
    : new StoreError('unusable', because, { cause });
}
