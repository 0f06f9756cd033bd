import { z } from 'zod';
import { Database, StoreError } from './database.ts';

/** Files of the state directory that a backup with keys holds: without them no node can be let in or known again. */
export const KEY_FILES = ['ca.key', 'ca.crt', 'signing.key'] as const;

const backupInfoSchema = z.strictObject({
  /** Of the program that made it. */
  version: z.string(),
  mesh: z.string(),
  madeAtMs: z.number(),
  /** Hex SHA-256 of the mesh CA's public key. */
  caPin: z.string(),
  /** The keys were in the state directory, and not somewhere that the configuration names. */
  keysInStateDir: z.boolean(),
});
/** What a backup is of. */
export type BackupInfo = Readonly<z.output<typeof backupInfoSchema>>;

/** A key file of a backup. */
const keyFileRow = z.object({ name: z.enum(KEY_FILES), text: z.string() });
export type BackupKeyFile = Readonly<z.output<typeof keyFileRow>>;

const infoRow = z.object({ value: z.string() });

/** Makes the copy of a store a backup: it says what it is of and, if they are given, holds the keys. */
export function sealBackup(path: string, info: BackupInfo, keyFiles: readonly BackupKeyFile[]): void {
  const database = new Database(path);
  try {
    database.transaction(() => {
      database.run('CREATE TABLE backup_key_files (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT');
      database.run("INSERT INTO meta (key, value) VALUES ('backup', ?)", JSON.stringify(info));
      for (const { name, text } of keyFiles) {
        database.run('INSERT INTO backup_key_files (name, text) VALUES (?, ?)', name, text);
      }
    });
  } finally {
    database.close();
  }
}

export interface OpenedBackup {
  readonly database: Database;
  readonly info: BackupInfo;
  readonly keyFiles: readonly BackupKeyFile[];
}

/**
 * Opens a copy of a backup for `use`, and makes a store of it again: afterwards it is without the keys. Throws a StoreError
 * when it is damaged or no backup.
 */
export function unsealBackup<T>(path: string, use: (backup: OpenedBackup) => T): T {
  const database = new Database(path);
  try {
    const [damage] = database.damage();
    if (damage !== undefined) throw new StoreError('unusable', `it is damaged: ${damage}`);
    const info = database.get(infoRow, "SELECT value FROM meta WHERE key = 'backup'");
    if (info === undefined) throw new StoreError('unusable', 'it is not what meshctl backup makes');
    const keyFiles = database.all(keyFileRow, 'SELECT name, text FROM backup_key_files ORDER BY name');
    const result = use({ database, info: backupInfoSchema.parse(JSON.parse(info.value)), keyFiles });
    database.transaction(() => {
      database.run("DELETE FROM meta WHERE key = 'backup'");
      database.run('DROP TABLE backup_key_files');
    });
    return result;
  } finally {
    database.close();
  }
}
