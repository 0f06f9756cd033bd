import { z } from 'zod';
import { tokenHashesMatch, tokenIdOf } from '../identity/token.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';

/** A token that is over is remembered this long, to tell its user what is wrong with it. */
const TOKEN_MEMORY_MS = 30 * 86_400_000;

const tokenRow = z.object({
  number: z.number(),
  id: z.string(),
  hash: z.string(),
  node: z.string().nullable(),
  node_group: z.string().nullable(),
  uses: z.number(),
  uses_left: z.number(),
  expires_at_ms: z.number(),
  revoked_at_ms: z.number().nullable(),
});

/** Whom a token lets in: one node, or the nodes of a group of the mesh spec that have not enrolled yet. */
export type TokenSubject = { readonly node: NodeName } | { readonly group: string };

export interface NewToken {
  readonly hash: string;
  readonly subject: TokenSubject;
  readonly uses: number;
  readonly expiresAtMs: number;
}

export interface StoredToken {
  /** Rises with each token: which of two was made first. */
  readonly number: number;
  /** The beginning of its hash, by which operators name it. */
  readonly id: string;
  readonly subject: TokenSubject;
  readonly uses: number;
  readonly usesLeft: number;
  readonly expiresAtMs: number;
  readonly isRevoked: boolean;
}

/** Enrolment tokens, by their hashes. What writes more than one row is called inside a transaction. */
export class TokenStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Returns the token's id. */
  add({ hash, subject, uses, expiresAtMs }: NewToken, nowMs: number): string {
    const id = tokenIdOf(hash);
    const [node, group] = 'node' in subject ? [subject.node, null] : [null, subject.group];
    this.#database.run('DELETE FROM tokens WHERE expires_at_ms < ?', nowMs - TOKEN_MEMORY_MS);
    this.#database.run(
      'INSERT INTO tokens (id, hash, node, node_group, uses, uses_left, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
      id,
      hash,
      node,
      group,
      uses,
      uses,
      expiresAtMs,
    );
    return id;
  }

  /** Found by its id, which is no secret; the whole is compared in the same time wherever it differs. */
  find(hash: string): StoredToken | undefined {
    const row = this.#database.get(tokenRow, 'SELECT * FROM tokens WHERE id = ?', tokenIdOf(hash));
    return row !== undefined && tokenHashesMatch(row.hash, hash) ? tokenOf(row) : undefined;
  }

  /** Those that have not expired, the newest first. */
  list(nowMs: number): readonly StoredToken[] {
    const sql = 'SELECT * FROM tokens WHERE expires_at_ms > ? ORDER BY number DESC';
    return this.#database.all(tokenRow, sql, nowMs).map(tokenOf);
  }

  takeUse(hash: string): void {
    this.#database.run('UPDATE tokens SET uses_left = uses_left - 1 WHERE hash = ?', hash);
  }

  /** False when there is no such token. */
  revoke(id: string, nowMs: number): boolean {
    const row = this.#database.get(tokenRow, 'SELECT * FROM tokens WHERE id = ?', id);
    if (row === undefined) return false;
    this.#database.run('UPDATE tokens SET revoked_at_ms = coalesce(revoked_at_ms, ?) WHERE id = ?', nowMs, id);
    return true;
  }

  /** Number of the newest token that was ever made; 0 before the first. */
  lastNumber(): number {
    const sql = "SELECT seq AS number FROM sqlite_sequence WHERE name = 'tokens'";
    return this.#database.get(tokenRow.pick({ number: true }), sql)?.number ?? 0;
  }
}

function tokenOf(row: z.output<typeof tokenRow>): StoredToken {
  const { number, id, node, node_group: group, uses, uses_left: usesLeft, expires_at_ms: expiresAtMs } = row;
  const subject = node === null ? { group: group ?? '' } : { node: node as NodeName };
  return { number, id, subject, uses, usesLeft, expiresAtMs, isRevoked: row.revoked_at_ms !== null };
}
