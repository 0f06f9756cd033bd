import { z } from 'zod';
import type { Database } from './database.ts';
import { ROLES, type Role } from './role.ts';

/** An API token that can no longer be used is remembered this long, to tell its user what is wrong with it. */
const MEMORY_MS = 30 * 86_400_000;

const tokenRow = z.object({
  name: z.string(),
  hash: z.string(),
  role: z.enum(ROLES),
  created_at_ms: z.number(),
  expires_at_ms: z.number(),
  revoked_at_ms: z.number().nullable(),
  last_used_at_ms: z.number().nullable(),
});

/** An operator's token, as far as it is kept. */
export interface ApiTokenRecord {
  readonly name: string;
  /** Hex SHA-256 of its secret. */
  readonly hash: string;
  readonly role: Role;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly revokedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

/** The operators' API tokens. */
export class ApiTokenStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Keeps a token under its name, in place of one that can no longer be used. */
  add({ name, hash, role, createdAtMs, expiresAtMs }: ApiTokenRecord): void {
    const forgotten = createdAtMs - MEMORY_MS;
    this.#database.transaction(() => {
      const sql = 'DELETE FROM api_tokens WHERE name = ? OR expires_at_ms < ? OR revoked_at_ms < ?';
      this.#database.run(sql, name, forgotten, forgotten);
      this.#database.run(
        'INSERT INTO api_tokens (name, hash, role, created_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?)',
        name,
        hash,
        role,
        createdAtMs,
        expiresAtMs,
      );
    });
  }

  all(): readonly ApiTokenRecord[] {
    return this.#database.all(tokenRow, 'SELECT * FROM api_tokens ORDER BY name').map(recordOf);
  }

  named(name: string): ApiTokenRecord | undefined {
    const row = this.#database.get(tokenRow, 'SELECT * FROM api_tokens WHERE name = ?', name);
    return row && recordOf(row);
  }

  withHash(hash: string): ApiTokenRecord | undefined {
    const row = this.#database.get(tokenRow, 'SELECT * FROM api_tokens WHERE hash = ?', hash);
    return row && recordOf(row);
  }

  revoke(name: string, nowMs: number): void {
    this.#database.run('UPDATE api_tokens SET revoked_at_ms = ? WHERE name = ?', nowMs, name);
  }

  used(name: string, nowMs: number): void {
    this.#database.run('UPDATE api_tokens SET last_used_at_ms = ? WHERE name = ?', nowMs, name);
  }
}

function recordOf(row: z.output<typeof tokenRow>): ApiTokenRecord {
  return {
    name: row.name,
    hash: row.hash,
    role: row.role,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
  };
}
