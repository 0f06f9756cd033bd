import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { CertificatePurpose } from '../identity/renewal.ts';
import { spkiSha256 } from '../identity/spki.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';

/** A certificate that was never revoked is forgotten so long after its end, and its key with it. */
const MEMORY_MS = 365 * 86_400_000;

const revocationRow = z.object({
  node: z.string(),
  reason: z.string().nullable(),
  revoked_at_ms: z.number(),
  newest_token: z.number(),
  readmitted_at_ms: z.number().nullable(),
});
const entryRow = z.object({ serial: z.string(), revoked_at_ms: z.number() });
const endRow = z.object({ not_after_ms: z.number() });
const ownerRow = z.object({ node: z.string() });
const crlRow = z.object({
  number: z.number(),
  issued_at_ms: z.number(),
  revoked_count: z.number(),
  der: z.string(),
});
const countRow = z.object({ count: z.number() });

/** A node that was thrown out. */
export interface Revocation {
  readonly node: NodeName;
  readonly revokedAtMs: number;
  /** The operator's words. */
  readonly reason: string | null;
}

/** A line of the CRL. */
export interface RevokedCertificate {
  /** Hex. */
  readonly serial: string;
  readonly revokedAtMs: number;
}

/** The newest CRL that was issued. */
export interface StoredCrl {
  readonly number: number;
  readonly issuedAtMs: number;
  /** How many certificates were ever revoked when it was. */
  readonly revokedCount: number;
  /** In base64. */
  readonly der: string;
}

/**
 * Who is no longer let in: nodes, until they are readmitted, and every key that they ever had, for good. Certificates are
 * noted as they are issued, so that all of a node's can be revoked. Writes are called inside a transaction.
 */
export class RevocationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * To be called for every certificate (PEM) that a node is given, in the transaction that gives it. `renewed`: what it is
   * for, if it is not of an enrolment.
   */
  noteIssued(node: NodeName, certificates: readonly string[], nowMs: number, renewed?: CertificatePurpose): void {
    this.#database.run('DELETE FROM certificates WHERE revoked_at_ms IS NULL AND not_after_ms < ?', nowMs - MEMORY_MS);
    for (const pem of certificates) {
      const certificate = new X509Certificate(pem);
      this.#database.run(
        'INSERT OR IGNORE INTO certificates (serial, node, key, not_after_ms, renewed) VALUES (?, ?, ?, ?, ?)',
        certificate.serialNumber.toLowerCase(),
        node,
        spkiSha256(certificate.publicKey),
        Date.parse(certificate.validTo),
        renewed ?? null,
      );
    }
  }

  /** The node that a barred key (hex SHA-256 of its SPKI) belonged to; undefined when the key is not barred. */
  formerOwnerOf(key: string): NodeName | undefined {
    const sql = 'SELECT node FROM certificates WHERE key = ? AND revoked_at_ms IS NOT NULL LIMIT 1';
    return this.#database.get(ownerRow, sql, key)?.node as NodeName | undefined;
  }

  /** When the certificates that a node has renewed end (ms since the epoch), the last first: at most `limit` that have not. */
  renewedEnds(node: NodeName, purpose: CertificatePurpose, nowMs: number, limit: number): readonly number[] {
    const sql = `SELECT not_after_ms FROM certificates
       WHERE node = ? AND renewed = ? AND revoked_at_ms IS NULL AND not_after_ms > ? ORDER BY not_after_ms DESC LIMIT ?`;
    return this.#database.all(endRow, sql, node, purpose, nowMs, limit).map((row) => row.not_after_ms);
  }

  /** Whether any node was ever given a certificate for this key, as far as that is remembered. */
  wasCertified(key: string): boolean {
    return this.#database.get(ownerRow, 'SELECT node FROM certificates WHERE key = ? LIMIT 1', key) !== undefined;
  }

  /** Nodes that are revoked now. */
  inForce(): readonly Revocation[] {
    const sql = 'SELECT * FROM revocations WHERE readmitted_at_ms IS NULL ORDER BY node';
    return this.#database.all(revocationRow, sql).map(revocationOf);
  }

  of(node: NodeName): Revocation | undefined {
    const row = this.#rowOf(node);
    return row === undefined || row.readmitted_at_ms !== null ? undefined : revocationOf(row);
  }

  /** Tokens up to this number let the node in no more, because they were made before it was revoked; 0: none is. */
  newestVoidToken(node: NodeName): number {
    return this.#rowOf(node)?.newest_token ?? 0;
  }

  /** Bars the node and all its keys. False when it was revoked already; then the first reason stands. */
  revoke(node: NodeName, reason: string | null, newestToken: number, nowMs: number): boolean {
    if (this.of(node) !== undefined) return false;
    this.#database.run(
      `INSERT OR REPLACE INTO revocations (node, reason, revoked_at_ms, newest_token) VALUES (?, ?, ?, ?)`,
      node,
      reason,
      nowMs,
      newestToken,
    );
    const sql = 'UPDATE certificates SET revoked_at_ms = ? WHERE node = ? AND revoked_at_ms IS NULL';
    this.#database.run(sql, nowMs, node);
    return true;
  }

  /** Lifts what bars the node; its keys stay barred. False when it was not revoked. */
  readmit(node: NodeName, nowMs: number): boolean {
    if (this.of(node) === undefined) return false;
    this.#database.run('UPDATE revocations SET readmitted_at_ms = ? WHERE node = ?', nowMs, node);
    return true;
  }

  /** What a CRL has to list: revoked certificates that have not expired, those that live longest first. */
  revokedCertificates(nowMs: number, limit: number): readonly RevokedCertificate[] {
    const sql = `SELECT serial, revoked_at_ms FROM certificates
       WHERE revoked_at_ms IS NOT NULL AND not_after_ms > ? ORDER BY not_after_ms DESC, serial LIMIT ?`;
    return this.#database
      .all(entryRow, sql, nowMs, limit)
      .map(({ serial, revoked_at_ms: revokedAtMs }) => ({ serial, revokedAtMs }));
  }

  /** How many certificates were ever revoked: another number asks for another CRL. */
  revokedCount(): number {
    const sql = 'SELECT count(*) AS count FROM certificates WHERE revoked_at_ms IS NOT NULL';
    return this.#database.get(countRow, sql)?.count ?? 0;
  }

  crl(): StoredCrl | undefined {
    const row = this.#database.get(crlRow, 'SELECT * FROM crl');
    if (row === undefined) return undefined;
    const { number, issued_at_ms: issuedAtMs, revoked_count: revokedCount, der } = row;
    return { number, issuedAtMs, revokedCount, der };
  }

  putCrl({ number, issuedAtMs, revokedCount, der }: StoredCrl): void {
    this.#database.run(
      'INSERT OR REPLACE INTO crl (one, number, issued_at_ms, revoked_count, der) VALUES (1, ?, ?, ?, ?)',
      number,
      issuedAtMs,
      revokedCount,
      der,
    );
  }

  #rowOf(node: NodeName): z.output<typeof revocationRow> | undefined {
    return this.#database.get(revocationRow, 'SELECT * FROM revocations WHERE node = ?', node);
  }
}

function revocationOf({ node, reason, revoked_at_ms: revokedAtMs }: z.output<typeof revocationRow>): Revocation {
  return { node: node as NodeName, reason, revokedAtMs };
}
