import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AdmissionStore } from './admission-store.ts';
import { AuditStore } from './audit-store.ts';
import { Database } from './database.ts';
import { MeshStore } from './mesh-store.ts';
import { ObservationStore } from './observation-store.ts';

/** All that the coordinator keeps, in one SQLite file. Every call that returns from a write has it on disk. */
export interface Store {
  /** Random, made with the file: a node that knows another one has met another history of generations. */
  readonly epoch: string;
  readonly mesh: MeshStore;
  readonly admission: AdmissionStore;
  readonly observations: ObservationStore;
  readonly audit: AuditStore;
  /** See {@link Database.copyTo}. */
  copyTo(path: string): void;
  close(): void;
}

/** Opens or creates the store. Throws a StoreError. */
export function openStore(path: string): Store {
  const database = new Database(path);
  return {
    epoch: epochOf(database),
    mesh: new MeshStore(database),
    admission: new AdmissionStore(database),
    observations: new ObservationStore(database),
    audit: new AuditStore(database),
    copyTo: (path) => database.copyTo(path),
    close: () => database.close(),
  };
}

/** For a store that comes from a backup: its generations were handed out a second time, for other states. */
export function beginNewEpoch(database: Database): void {
  database.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?)", randomUUID());
}

function epochOf(database: Database): string {
  database.run("INSERT INTO meta (key, value) VALUES ('epoch', ?) ON CONFLICT DO NOTHING", randomUUID());
  return database.get(z.object({ value: z.string() }), "SELECT value FROM meta WHERE key = 'epoch'")?.value ?? '';
}
