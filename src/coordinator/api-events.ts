import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { beginLines, writeLines } from '../http-service.ts';
import { RECENT_EVENTS } from './api.ts';
import { parseQuery, type ApiRequest } from './api-request.ts';
import type { EventLog } from './event-log.ts';

/** Events are read from the log in portions of this many. */
const PORTION = 500;

const eventsQuerySchema = z.strictObject({
  since: z
    .string()
    .regex(/^\d{1,15}$/, 'the id of an event')
    .transform(Number)
    .exactOptional(),
  follow: z.enum(['true', 'false']).default('false'),
});

/**
 * Writes events as NDJSON until all are out, or for ever with `follow`. Reads on only as fast as the client does, so a
 * client that does not read costs nothing. Ends when `signal` aborts. Throws an ApiRefused before the first byte.
 */
export async function streamEvents(
  log: Pick<EventLog, 'after' | 'lastId' | 'more'>,
  query: ApiRequest['query'],
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { since = Math.max(0, log.lastId - RECENT_EVENTS), follow } = parseQuery(eventsQuerySchema, query);
  beginLines(response);
  let position = since;
  while (!signal.aborted) {
    const { lastId } = log;
    const events = log.after(position, PORTION);
    // Events that could not be written are not there, and nothing is to be waited for that comes before the newest.
    position = events.at(-1)?.id ?? Math.max(position, lastId);
    await writeLines(response, events, signal);
    if (events.length > 0) continue;
    if (follow === 'false') break;
    await log.more(position, signal);
  }
  response.end();
}
