import { z } from 'zod';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';

/** An expired token is remembered this long, to tell its user what is wrong with it. */
const TOKEN_MEMORY_MS = 30 * 86_400_000;

const nodeRow = z.object({
  name: z.string(),
  channel_key: z.string(),
  ike_key: z.string(),
  channel_certificate: z.string(),
  ike_certificate: z.string(),
  enrolled_at_ms: z.number(),
  token_hash: z.string(),
});
const tokenRow = z.object({ node: z.string(), expires_at_ms: z.number(), used_at_ms: z.number().nullable() });

/** The hex SHA-256 of a node's two public keys (SPKI). */
export interface NodeKeys {
  readonly channelKey: string;
  readonly ikeKey: string;
}

/** A node that has enrolled. */
export interface NodeRecord extends NodeKeys {
  readonly name: NodeName;
  /** PEM. */
  readonly channelCertificate: string;
  readonly ikeCertificate: string;
  readonly enrolledAtMs: number;
}

export type TokenRefusal = 'unknown' | 'expired' | 'used' | 'key-in-use';

export type TokenCheck =
  | { readonly kind: 'fresh'; readonly node: NodeName }
  /** These very keys have consumed it: the node did not get the reply, and may have it again. */
  | { readonly kind: 'repeated'; readonly record: NodeRecord }
  | { readonly kind: 'refused'; readonly reason: TokenRefusal };

/** Who may be part of the mesh: tokens, and the nodes that have used theirs. */
export class AdmissionStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Keeps a token by its hash; it lets in one node, once, before it expires. */
  addToken(hash: string, node: NodeName, nowMs: number, expiresAtMs: number): void {
    this.#database.transaction(() => {
      this.#database.run('DELETE FROM tokens WHERE expires_at_ms < ?', nowMs - TOKEN_MEMORY_MS);
      this.#database.run('INSERT INTO tokens (hash, node, expires_at_ms) VALUES (?, ?, ?)', hash, node, expiresAtMs);
    });
  }

  /** What the holder of these keys gets for a token; changes nothing. */
  checkToken(hash: string, keys: NodeKeys, nowMs: number): TokenCheck {
    const sql = 'SELECT node, expires_at_ms, used_at_ms FROM tokens WHERE hash = ?';
    const token = this.#database.get(tokenRow, sql, hash);
    if (token === undefined) return { kind: 'refused', reason: 'unknown' };
    if (token.expires_at_ms <= nowMs) return { kind: 'refused', reason: 'expired' };
    const node = token.node as NodeName;
    if (token.used_at_ms !== null) return this.#repeated(hash, node, keys);
    return this.#keyIsTaken(node, keys) ? { kind: 'refused', reason: 'key-in-use' } : { kind: 'fresh', node };
  }

  /** Checks the token again, consumes it and writes the node's record, in one transaction. */
  enroll(hash: string, record: Omit<NodeRecord, 'name'>): TokenCheck {
    return this.#database.transaction(() => {
      const check = this.checkToken(hash, record, record.enrolledAtMs);
      if (check.kind !== 'fresh') return check;
      this.#database.run('UPDATE tokens SET used_at_ms = ? WHERE hash = ?', record.enrolledAtMs, hash);
      this.#putNode(hash, { name: check.node, ...record });
      return check;
    });
  }

  nodes(): readonly NodeRecord[] {
    return this.#database.all(nodeRow, 'SELECT * FROM nodes ORDER BY name').map(recordOf);
  }

  node(name: NodeName): NodeRecord | undefined {
    const row = this.#database.get(nodeRow, 'SELECT * FROM nodes WHERE name = ?', name);
    return row && recordOf(row);
  }

  nodeOfChannelKey(channelKey: string): NodeName | undefined {
    const row = this.#database.get(nodeRow, 'SELECT * FROM nodes WHERE channel_key = ?', channelKey);
    return row && recordOf(row).name;
  }

  #repeated(hash: string, node: NodeName, keys: NodeKeys): TokenCheck {
    const sql = 'SELECT * FROM nodes WHERE name = ? AND token_hash = ? AND channel_key = ? AND ike_key = ?';
    const row = this.#database.get(nodeRow, sql, node, hash, keys.channelKey, keys.ikeKey);
    return row === undefined ? { kind: 'refused', reason: 'used' } : { kind: 'repeated', record: recordOf(row) };
  }

  #keyIsTaken(node: NodeName, { channelKey, ikeKey }: NodeKeys): boolean {
    const sql = 'SELECT * FROM nodes WHERE name <> ? AND (channel_key IN (?, ?) OR ike_key IN (?, ?)) LIMIT 1';
    return this.#database.get(nodeRow, sql, node, channelKey, ikeKey, channelKey, ikeKey) !== undefined;
  }

  /** Not REPLACE: that would delete the old row, and with it what hangs on it. */
  #putNode(hash: string, node: NodeRecord): void {
    this.#database.run(
      `INSERT INTO nodes
         (name, channel_key, ike_key, channel_certificate, ike_certificate, enrolled_at_ms, token_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET
         channel_key = excluded.channel_key, ike_key = excluded.ike_key,
         channel_certificate = excluded.channel_certificate, ike_certificate = excluded.ike_certificate,
         enrolled_at_ms = excluded.enrolled_at_ms, token_hash = excluded.token_hash`,
      node.name,
      node.channelKey,
      node.ikeKey,
      node.channelCertificate,
      node.ikeCertificate,
      node.enrolledAtMs,
      hash,
    );
  }
}

function recordOf(row: z.output<typeof nodeRow>): NodeRecord {
  return {
    name: row.name as NodeName,
    channelKey: row.channel_key,
    ikeKey: row.ike_key,
    channelCertificate: row.channel_certificate,
    ikeCertificate: row.ike_certificate,
    enrolledAtMs: row.enrolled_at_ms,
  };
}
