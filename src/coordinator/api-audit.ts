import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { beginLines, writeLines } from '../http-service.ts';
import { AUDIT_RECENT } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import { parseQuery, type ApiRequest } from './api-request.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import type { ChainPosition } from './audit-record.ts';

/** Records are read in portions of this many. */
const PORTION = 500;

const auditQuerySchema = z.strictObject({
  after: z
    .string()
    .regex(/^\d{1,15}$/, 'the id of a record')
    .transform(Number)
    .exactOptional(),
});

/** Writes the records after one, or the newest, as NDJSON. Throws an ApiRefused before the first byte. */
export async function streamAudit(
  audit: AuditLog,
  query: ApiRequest['query'],
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { after = Math.max(0, audit.head.id - AUDIT_RECENT) } = parseQuery(auditQuerySchema, query);
  beginLines(response);
  let position = after;
  while (!signal.aborted) {
    const records = audit.after(position, PORTION);
    if (records.length === 0) break;
    position = records.at(-1)?.id ?? position;
    await writeLines(response, records, signal);
  }
  response.end();
}

/** Removes the records up to one that the caller has seen, as its hash shows. Throws an ApiRefused. */
export function pruneAudit(
  audit: AuditLog,
  through: ChainPosition,
  attempt: Attempt,
): { readonly start: ChainPosition } {
  const found = audit.position(through.id);
  if (found === undefined) throw new ApiRefused('not-found', `there is no record ${through.id} here`);
  if (found.hash !== through.hash) {
    throw new ApiRefused('conflict', `record ${through.id} is another one here: nothing was removed`);
  }
  audit.prune(found, attempt);
  return { start: audit.start };
}
