import { z } from 'zod';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';
import { RevocationStore } from './revocation-store.ts';
import { TokenStore, type NewToken, type StoredToken } from './token-store.ts';

const nodeRow = z.object({
  name: z.string(),
  channel_key: z.string(),
  ike_key: z.string().nullable(),
  channel_certificate: z.string(),
  ike_certificate: z.string().nullable(),
  enrolled_at_ms: z.number(),
  token_hash: z.string(),
});

const metaRow = z.object({ value: z.string() });

/** The hex SHA-256 of a node's public keys (SPKI). */
export interface NodeKeys {
  readonly channelKey: string;
  /** Undefined where the operator places the node's IKE certificate. */
  readonly ikeKey: string | undefined;
}

/** A node that has enrolled. */
export interface NodeRecord extends NodeKeys {
  readonly name: NodeName;
  /** PEM. */
  readonly channelCertificate: string;
  /** Undefined as its key is. */
  readonly ikeCertificate: string | undefined;
  readonly enrolledAtMs: number;
}

/** Who comes with a token. */
export interface Applicant {
  readonly keys: NodeKeys;
  /** What it wants to be called; needed with a group's token only. */
  readonly name: NodeName | undefined;
  /** The groups that it is in by that name. */
  readonly groups: readonly string[];
}

export type TokenRefusal =
  | 'unknown'
  | 'revoked'
  | 'expired'
  | 'used'
  | 'other-node'
  | 'name-needed'
  | 'not-in-group'
  | 'node-revoked'
  | 'key-in-use'
  | 'key-barred';

export type TokenCheck =
  | { readonly kind: 'fresh'; readonly node: NodeName }
  /** These very keys have consumed it: the node did not get the reply, and may have it again. */
  | { readonly kind: 'repeated'; readonly record: NodeRecord }
  | { readonly kind: 'refused'; readonly reason: TokenRefusal };

/** Who may be part of the mesh: tokens, the nodes that have used theirs, and those that were thrown out. */
export class AdmissionStore {
  readonly tokens: Pick<TokenStore, 'list' | 'revoke'>;
  readonly revocations: Omit<RevocationStore, 'revoke' | 'readmit'>;
  readonly #tokens: TokenStore;
  readonly #revocations: RevocationStore;
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    this.tokens = this.#tokens = new TokenStore(database);
    this.revocations = this.#revocations = new RevocationStore(database);
  }

  /** Pin of the CA that nodes have been let in with; undefined before a coordinator has run with this store. */
  get caPin(): string | undefined {
    return this.#database.get(metaRow, "SELECT value FROM meta WHERE key = 'ca-pin'")?.value;
  }

  /** For good: nodes trust this CA and no other. */
  rememberCa(pin: string): void {
    this.#database.run("INSERT INTO meta (key, value) VALUES ('ca-pin', ?)", pin);
  }

  /** Keeps a token by its hash, and returns its id. */
  addToken(token: NewToken, nowMs: number): string {
    return this.#database.transaction(() => this.#tokens.add(token, nowMs));
  }

  /** What an applicant gets for a token; changes nothing. */
  checkToken(hash: string, applicant: Applicant, nowMs: number): TokenCheck {
    const token = this.#tokens.find(hash);
    if (token === undefined) return refused('unknown');
    if (token.isRevoked) return refused('revoked');
    const { keys, name } = applicant;
    const record = this.#recordOf(hash, keys);
    // The token was good when this node came; that its reply was lost shortly before the end is not its fault.
    if (record !== undefined && this.#revocations.of(record.name) === undefined) return { kind: 'repeated', record };
    if (token.expiresAtMs <= nowMs) return refused('expired');
    if (this.#isBarred(keys)) return refused('key-barred');
    if (token.usesLeft === 0) return refused('used');
    const node = 'node' in token.subject ? token.subject.node : name;
    if (node === undefined) return refused('name-needed');
    const reason = this.#refusalOf(token, node, applicant);
    return reason === undefined ? { kind: 'fresh', node } : refused(reason);
  }

  /** Checks the token again, consumes one use of it and writes the node's record, in one transaction. */
  enroll(hash: string, applicant: Applicant, record: Omit<NodeRecord, 'name' | keyof NodeKeys>): TokenCheck {
    return this.#database.transaction(() => {
      const check = this.checkToken(hash, applicant, record.enrolledAtMs);
      if (check.kind !== 'fresh') return check;
      this.#tokens.takeUse(hash);
      this.#putNode(hash, { name: check.node, ...applicant.keys, ...record });
      const certificates = [record.channelCertificate, record.ikeCertificate].filter((pem) => pem !== undefined);
      this.#revocations.noteIssued(check.node, certificates, record.enrolledAtMs);
      return check;
    });
  }

  /** Bars a node and all its keys. False when it was revoked already. */
  revoke(node: NodeName, reason: string | null, nowMs: number): boolean {
    return this.#database.transaction(() => this.#revocations.revoke(node, reason, this.#tokens.lastNumber(), nowMs));
  }

  /** Lets a node enrol again, with a token that is made from now on and other keys. False when it was not revoked. */
  readmit(node: NodeName, nowMs: number): boolean {
    return this.#database.transaction(() => {
      if (!this.#revocations.readmit(node, nowMs)) return false;
      this.#database.run('DELETE FROM nodes WHERE name = ?', node);
      return true;
    });
  }

  nodes(): readonly NodeRecord[] {
    return this.#database.all(nodeRow, 'SELECT * FROM nodes ORDER BY name').map(recordOf);
  }

  node(name: NodeName): NodeRecord | undefined {
    const row = this.#database.get(nodeRow, 'SELECT * FROM nodes WHERE name = ?', name);
    return row && recordOf(row);
  }

  /** The node whose channel key this is now, or is to be next; undefined as well when that node is revoked. */
  nodeOfChannelKey(channelKey: string): NodeName | undefined {
    const sql = `SELECT * FROM nodes WHERE channel_key = ?
       OR name = (SELECT node FROM next_channel_certificates WHERE key = ?)`;
    const row = this.#database.get(nodeRow, sql, channelKey, channelKey);
    if (row === undefined || this.#revocations.of(row.name as NodeName) !== undefined) return undefined;
    return recordOf(row).name;
  }

  #recordOf(hash: string, keys: NodeKeys): NodeRecord | undefined {
    const sql = 'SELECT * FROM nodes WHERE token_hash = ? AND channel_key = ? AND ike_key IS ?';
    const row = this.#database.get(nodeRow, sql, hash, keys.channelKey, keys.ikeKey ?? null);
    return row && recordOf(row);
  }

  #isBarred({ channelKey, ikeKey }: NodeKeys): boolean {
    return [channelKey, ikeKey].some((key) => key !== undefined && this.#revocations.formerOwnerOf(key) !== undefined);
  }

  /** Why a token that is good as such does not let this node in. */
  #refusalOf(token: StoredToken, node: NodeName, { keys, name, groups }: Applicant): TokenRefusal | undefined {
    if (name !== undefined && name !== node) return 'other-node';
    if ('group' in token.subject && (!groups.includes(token.subject.group) || this.node(node) !== undefined)) {
      return 'not-in-group';
    }
    if (this.#revocations.of(node) !== undefined) return 'node-revoked';
    // Whoever had it before the node was thrown out may have it still.
    if (token.number <= this.#revocations.newestVoidToken(node)) return 'revoked';
    return this.#keyIsTaken(node, keys) ? 'key-in-use' : undefined;
  }

  #keyIsTaken(node: NodeName, { channelKey, ikeKey }: NodeKeys): boolean {
    const sql = `SELECT * FROM nodes WHERE name <> ? AND (channel_key IN (?, ?) OR ike_key IN (?, ?)
       OR name = (SELECT node FROM next_channel_certificates WHERE key IN (?, ?))) LIMIT 1`;
    const keys = [channelKey, ikeKey ?? null];
    return this.#database.get(nodeRow, sql, node, ...keys, ...keys, ...keys) !== undefined;
  }

  /** Not REPLACE: that would delete the old row, and with it what hangs on it. */
  #putNode(hash: string, node: NodeRecord): void {
    this.#database.run('DELETE FROM next_channel_certificates WHERE node = ?', node.name);
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
      node.ikeKey ?? null,
      node.channelCertificate,
      node.ikeCertificate ?? null,
      node.enrolledAtMs,
      hash,
    );
  }
}

function refused(reason: TokenRefusal): TokenCheck {
  return { kind: 'refused', reason };
}

function recordOf(row: z.output<typeof nodeRow>): NodeRecord {
  return {
    name: row.name as NodeName,
    channelKey: row.channel_key,
    ikeKey: row.ike_key ?? undefined,
    channelCertificate: row.channel_certificate,
    ikeCertificate: row.ike_certificate ?? undefined,
    enrolledAtMs: row.enrolled_at_ms,
  };
}
