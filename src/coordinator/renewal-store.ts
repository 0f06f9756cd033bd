import { z } from 'zod';
import type { CertificatePurpose } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Database } from './database.ts';

const certifiedRow = z.object({ key: z.string(), certificate: z.string() });
const nodeRow = z.object({ node: z.string() });
const endsRow = z.object({ node: z.string(), channel: z.number(), ike: z.number().nullable() });

/** A key (hex SHA-256 of its SPKI) and the certificate (PEM) that it was given. */
export type CertifiedKey = Readonly<z.output<typeof certifiedRow>>;

/** Ms since the epoch; null for what the node was not given. */
export type CertificateEnds = Readonly<Pick<z.output<typeof endsRow>, CertificatePurpose>>;

/**
 * The certificates of nodes as they follow each other. A node's next channel certificate stands beside the one that it has
 * until the node has used it: a reply that was lost, or a node that fell back, must lock nobody out. An IKE certificate is
 * shown to other nodes only, so of those the newest is kept.
 */
export class RenewalStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The node's keys for a purpose, the one in use first; none when there is no such node, or it was given none. */
  certified(node: NodeName, purpose: CertificatePurpose): readonly CertifiedKey[] {
    if (purpose === 'ike') {
      return this.#database.all(
        certifiedRow,
        'SELECT ike_key AS key, ike_certificate AS certificate FROM nodes WHERE name = ? AND ike_key IS NOT NULL',
        node,
      );
    }
    const sql = `SELECT channel_key AS key, channel_certificate AS certificate, 0 AS place FROM nodes WHERE name = ?
       UNION SELECT key, certificate, 1 FROM next_channel_certificates WHERE node = ? ORDER BY place`;
    return this.#database.all(certifiedRow, sql, node, node);
  }

  /** The end of each node's newest certificates, by node. */
  ends(): ReadonlyMap<NodeName, CertificateEnds> {
    const sql = `SELECT nodes.name AS node, max(channel.not_after_ms) AS channel, max(ike.not_after_ms) AS ike FROM nodes
       LEFT JOIN next_channel_certificates AS next ON next.node = nodes.name
       JOIN certificates AS channel ON channel.key IN (nodes.channel_key, next.key)
       LEFT JOIN certificates AS ike ON ike.key = nodes.ike_key
       GROUP BY nodes.name`;
    return new Map(this.#database.all(endsRow, sql).map(({ node, ...ends }) => [node as NodeName, ends]));
  }

  /** Whether any node has this key now, for any purpose. */
  isInUse(key: string): boolean {
    const sql = `SELECT name AS node FROM nodes WHERE ? IN (channel_key, ike_key)
       UNION SELECT node FROM next_channel_certificates WHERE key = ?`;
    return this.#database.get(nodeRow, sql, key, key) !== undefined;
  }

  /** Gives a node its next certificate. False when there is no such node any more. Inside a transaction. */
  put(node: NodeName, purpose: CertificatePurpose, { key, certificate }: CertifiedKey): boolean {
    if (this.certified(node, 'channel').length === 0) return false;
    if (purpose === 'ike') {
      this.#database.run('UPDATE nodes SET ike_key = ?, ike_certificate = ? WHERE name = ?', key, certificate, node);
    } else {
      this.#database.run(
        `INSERT INTO next_channel_certificates (node, key, certificate) VALUES (?, ?, ?)
         ON CONFLICT (node) DO UPDATE SET key = excluded.key, certificate = excluded.certificate`,
        node,
        key,
        certificate,
      );
    }
    return true;
  }

  /** The node has shown itself with this key: if it is the next one, the one before it counts no more. */
  used(node: NodeName, key: string): void {
    if (this.certified(node, 'channel')[1]?.key !== key) return;
    this.#database.transaction(() => {
      const sql = `UPDATE nodes SET (channel_key, channel_certificate) =
           (SELECT key, certificate FROM next_channel_certificates WHERE node = name) WHERE name = ?`;
      this.#database.run(sql, node);
      this.#database.run('DELETE FROM next_channel_certificates WHERE node = ?', node);
    });
  }
}
