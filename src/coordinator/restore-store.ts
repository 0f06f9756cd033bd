import { z } from 'zod';
import type { Database } from './database.ts';

const gapRow = z.object({ backup_made_at_ms: z.number(), restored_at_ms: z.number() });

/** A time of which a store that was restored knows nothing, in ms since the epoch. */
export interface StoreGap {
  readonly backupMadeAtMs: number;
  readonly restoredAtMs: number;
}

/** When this store was restored from a backup, once for each time. */
export class RestoreStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  note({ backupMadeAtMs, restoredAtMs }: StoreGap): void {
    const sql = 'INSERT INTO restores (backup_made_at_ms, restored_at_ms) VALUES (?, ?)';
    this.#database.run(sql, backupMadeAtMs, restoredAtMs);
  }

  gaps(): readonly StoreGap[] {
    return this.#database
      .all(gapRow, 'SELECT * FROM restores')
      .map(({ backup_made_at_ms: backupMadeAtMs, restored_at_ms: restoredAtMs }) => ({ backupMadeAtMs, restoredAtMs }));
  }
}
