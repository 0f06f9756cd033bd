import { z } from 'zod';
import { resourceOutcomeSchema } from '../control/frames.ts';
import { nodeReportSchema } from '../control/report.ts';
import type { NodeName } from '../ike/connection.ts';
import type { MeshEvent } from './api.ts';
import type { Database } from './database.ts';

/** The newest events are kept, and this many. */
export const EVENTS_MAX = 100_000;

const statusRow = z.object({
  node: z.string(),
  last_seen_ms: z.number(),
  report: z.string().nullable(),
  outcome: z.string().nullable(),
});
const eventRow = z.object({
  id: z.number(),
  at_ms: z.number(),
  node: z.string().nullable(),
  kind: z.string(),
  connection: z.string().nullable(),
  child: z.string().nullable(),
  message: z.string(),
});
const idRow = z.object({ id: z.number().nullable() });

const applyReportSchema = z.object({
  generation: z.number(),
  ok: z.boolean(),
  /** Of the resources that could not be loaded. */
  outcomes: z.array(resourceOutcomeSchema),
});
/** A node's last ack or nack. */
export type ApplyReport = Readonly<z.output<typeof applyReportSchema>>;

const nodeStatusSchema = z.object({
  lastSeenMs: z.number(),
  report: nodeReportSchema.nullable(),
  outcome: applyReportSchema.nullable(),
});
/** What a node told last. */
export type NodeStatus = Readonly<z.output<typeof nodeStatusSchema>>;

/** What nodes told. Observations, not decisions: losing the last seconds of them in a crash does no harm. */
export class ObservationStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  statuses(): ReadonlyMap<NodeName, NodeStatus> {
    const rows = this.#database.all(statusRow, 'SELECT * FROM node_statuses');
    return new Map(rows.map((row) => [row.node as NodeName, statusOf(row)]));
  }

  lastEventId(): number {
    return this.#database.get(idRow, 'SELECT max(id) AS id FROM events')?.id ?? 0;
  }

  /** At most `limit` events with an id above `afterId`, oldest first. */
  eventsAfter(afterId: number, limit: number): readonly MeshEvent[] {
    const sql = 'SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?';
    return this.#database.all(eventRow, sql, afterId, limit).map(({ at_ms, ...rest }) => ({ ...rest, atMs: at_ms }));
  }

  /** Writes statuses and events in one transaction, and forgets the oldest events. */
  write(statuses: ReadonlyMap<NodeName, NodeStatus>, events: readonly MeshEvent[]): void {
    this.#database.transaction(() => {
      for (const [node, status] of statuses) this.#putStatus(node, status);
      for (const event of events) this.#addEvent(event);
      this.#database.run('DELETE FROM events WHERE id <= ?', this.lastEventId() - EVENTS_MAX);
    });
  }

  #putStatus(node: NodeName, { lastSeenMs, report, outcome }: NodeStatus): void {
    this.#database.run(
      'INSERT OR REPLACE INTO node_statuses (node, last_seen_ms, report, outcome) VALUES (?, ?, ?, ?)',
      node,
      lastSeenMs,
      report && JSON.stringify(report),
      outcome && JSON.stringify(outcome),
    );
  }

  #addEvent({ id, atMs, node, kind, connection, child, message }: MeshEvent): void {
    this.#database.run(
      'INSERT INTO events (id, at_ms, node, kind, connection, child, message) VALUES (?, ?, ?, ?, ?, ?, ?)',
      id,
      atMs,
      node,
      kind,
      connection,
      child,
      message,
    );
  }
}

/** A report in the form of another version is dropped: the node sends a new one soon. */
function statusOf(row: z.output<typeof statusRow>): NodeStatus {
  const report = row.report === null ? null : (JSON.parse(row.report) as unknown);
  const outcome = row.outcome === null ? null : (JSON.parse(row.outcome) as unknown);
  return {
    lastSeenMs: row.last_seen_ms,
    report: nodeReportSchema.nullable().catch(null).parse(report),
    outcome: applyReportSchema.nullable().catch(null).parse(outcome),
  };
}
