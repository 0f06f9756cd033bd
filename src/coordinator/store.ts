import { AdmissionStore } from './admission-store.ts';
import { ApiTokenStore } from './api-token-store.ts';
import { AuditStore } from './audit-store.ts';
import { Database } from './database.ts';
import { MeshStore } from './mesh-store.ts';
import { ObservationStore } from './observation-store.ts';
import { RenewalStore } from './renewal-store.ts';
import { RestoreStore } from './restore-store.ts';
import { SigningStore } from './signing-store.ts';

/** All that the coordinator keeps, in one SQLite file. Every call that returns from a write has it on disk. */
export interface Store {
  readonly mesh: MeshStore;
  readonly admission: AdmissionStore;
  readonly renewals: RenewalStore;
  readonly restores: RestoreStore;
  readonly observations: ObservationStore;
  readonly audit: AuditStore;
  readonly apiTokens: ApiTokenStore;
  /** See {@link Database.copyTo}. */
  copyTo(path: string): void;
  /** A store that comes from a backup must be given a new epoch before a coordinator runs with it. */
  readonly signing: SigningStore;
  close(): void;
}

/** Opens or creates the store. Throws a StoreError. */
export function openStore(path: string, nowMs: number = Date.now()): Store {
  const database = new Database(path);
  return {
    mesh: new MeshStore(database),
    admission: new AdmissionStore(database),
    renewals: new RenewalStore(database),
    restores: new RestoreStore(database),
    observations: new ObservationStore(database),
    audit: new AuditStore(database),
    signing: new SigningStore(database, nowMs),
    apiTokens: new ApiTokenStore(database),
    copyTo: (path) => database.copyTo(path),
    close: () => database.close(),
  };
}

/** For a store that comes from a backup: see {@link SigningStore.newEpoch}. */
export function beginNewEpoch(database: Database, nowMs: number = Date.now()): void {
  new SigningStore(database, nowMs).newEpoch(nowMs);
}
