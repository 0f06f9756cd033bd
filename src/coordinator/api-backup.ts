import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { BACKUP_CONTENT_TYPE } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { Backup } from './backups.ts';

/** Sends a backup; a reply that breaks off is shorter than its head says. Throws an ApiRefused when there is none. */
export async function sendBackup(
  backup: Backup | undefined,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  if (backup === undefined) throw new ApiRefused('conflict', 'another backup is being made; try again when it is done');
  response.writeHead(200, { 'content-type': BACKUP_CONTENT_TYPE, 'content-length': backup.bytes });
  await pipeline(backup.stream, response, { signal });
}
