import { z } from 'zod';
import { digestOf } from '../json.ts';

/**
 * The audit log's records and the chain that they form: each has the hash of the one before it, so that none can be
 * changed, left out or moved without the rest being wrong. Pure, and used at both ends of the API.
 */

/** What stands in the place of a hash before the first record. */
export const CHAIN_START = '0'.repeat(64);

/**
 * `socket`: whoever may open the coordinator's own socket. `api-token`: by its name. `node`: by its name. `stranger`:
 * somebody who has not shown who it is. `coordinator`: the program by itself.
 */
const ACTOR_KINDS = ['socket', 'api-token', 'node', 'stranger', 'coordinator'] as const;

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'not a hash');

export const auditRecordSchema = z.strictObject({
  id: z.number().int().min(1).describe('1, 2, 3, … without a gap'),
  atMs: z.number().int().min(0),
  actor: z.strictObject({ kind: z.enum(ACTOR_KINDS), name: z.string().nullable() }),
  remote: z.string().nullable().describe('address that it came from; null for the socket'),
  action: z.string().describe('such as spec.apply'),
  target: z.string().nullable().describe('the node, token or other thing that it was about'),
  outcome: z.enum(['done', 'refused', 'failed']),
  reason: z.string().nullable().describe('why not'),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  times: z.number().int().min(1).describe('how many attempts this stands for'),
  previous: hash.describe('hash of the record before'),
  hash: hash.describe('SHA-256 of the canonical JSON of all the other fields'),
});
export type AuditRecord = Readonly<z.output<typeof auditRecordSchema>>;

/** A record before it has its place in the chain. */
export type AuditEntry = Omit<AuditRecord, 'id' | 'previous' | 'hash'>;

/** What was tried, without when and how often. */
export type AuditFacts = Omit<AuditEntry, 'atMs' | 'times'>;

/** A place in the chain: a record by its number and hash, or the start. */
export interface ChainPosition {
  readonly id: number;
  readonly hash: string;
}

/** Makes an entry the record that follows `position`. */
export function chained(entry: AuditEntry, { id, hash: previous }: ChainPosition): AuditRecord {
  const record = { ...entry, id: id + 1, previous };
  return { ...record, hash: digestOf(record) };
}

/** Why `record` is not the one that follows `position`; undefined when it is. */
export function chainProblem(record: AuditRecord, { id, hash: previous }: ChainPosition): string | undefined {
  const { hash: own, ...rest } = record;
  if (record.id !== id + 1) return `record ${id} is followed by record ${record.id}: some are missing or out of order`;
  if (record.previous !== previous) return `record ${record.id} does not follow record ${id} as it is here`;
  if (digestOf(rest) !== own) return `record ${record.id} was changed`;
  return undefined;
}
