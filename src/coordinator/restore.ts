import { chmodSync, chownSync, copyFileSync, existsSync, linkSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf, systemCodeOf } from '../errors.ts';
import { makeFolderDurably, readIfThere, syncToDisk, writeDurably } from '../durable-file.ts';
import { caPinOf } from '../identity/mesh-ca.ts';
import { AuditStore } from './audit-store.ts';
import { unsealBackup, type BackupInfo, type OpenedBackup } from './backup-file.ts';
import { Database, StoreError } from './database.ts';
import { RestoreStore } from './restore-store.ts';
import { beginNewEpoch } from './store.ts';

/** A backup that is not restored; nothing was changed. */
export class RestoreRefused extends Error {
  override readonly name = 'RestoreRefused';
}

export interface RestoreOptions {
  readonly backup: string;
  /** Made when it is not there. */
  readonly stateDir: string;
  /** A store that is there already is kept as `coordinator.db.replaced`; without this it is a reason to refuse. */
  readonly replace: boolean;
}

/**
 * Makes a backup the store of the coordinator that starts next in this state directory, under a new epoch. Throws a
 * RestoreRefused, also when a coordinator is running there. A crash leaves the store that was there, or the new one.
 */
export function restoreBackup({ backup, stateDir, replace }: RestoreOptions): BackupInfo {
  makeFolderDurably(stateDir);
  const path = join(stateDir, 'coordinator.db');
  const fresh = `${path}.restoring`;
  checkPresent(path, replace);
  try {
    copyBackup(backup, fresh);
    const info = refusing(backup, () => unsealBackup(fresh, (opened) => prepare(opened, stateDir)));
    syncToDisk(fresh);
    ownLike(stateDir, fresh);
    putInPlace(fresh, path);
    return info;
  } finally {
    removeStore(fresh);
  }
}

/** Opening it tells whether a coordinator has it, and folds its log into it. */
function checkPresent(path: string, replace: boolean): void {
  if (!existsSync(path)) return;
  if (!replace) {
    throw new RestoreRefused(`${path} is there already; --replace puts the backup in its place and keeps it beside`);
  }
  try {
    new Database(path).close();
  } catch (error) {
    // One that is damaged is what backups are for.
    if (!(error instanceof StoreError) || error.code !== 'in-use') return;
    throw new RestoreRefused(`a coordinator is running with ${path}; stop it first`, { cause: error });
  }
}

function copyBackup(backup: string, fresh: string): void {
  removeStore(fresh);
  try {
    copyFileSync(backup, fresh);
  } catch (cause) {
    const reason = systemCodeOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new RestoreRefused(`${backup}: ${reason}`, { cause });
  }
  chmodSync(fresh, 0o600);
}

function prepare({ database, info, keyFiles }: OpenedBackup, stateDir: string): BackupInfo {
  const present = readIfThere(join(stateDir, 'ca.crt'));
  if (present !== undefined && caPinOf(present) !== info.caPin) {
    throw new RestoreRefused(`${join(stateDir, 'ca.crt')} is of another mesh CA than the backup`);
  }
  if (present === undefined && info.keysInStateDir && keyFiles.length === 0) {
    throw new RestoreRefused(
      `the backup was made without keys: put ca.key and ca.crt of mesh ${info.mesh} into ${stateDir} first`,
    );
  }
  beginNewEpoch(database);
  const atMs = Date.now();
  new RestoreStore(database).note({ backupMadeAtMs: info.madeAtMs, restoredAtMs: atMs });
  recordRestore(database, info, atMs);
  for (const { name, text } of keyFiles) {
    const path = join(stateDir, name);
    // One that is there may be newer than the backup.
    if (existsSync(path)) continue;
    writeDurably(path, text, 0o600);
    ownLike(stateDir, path);
  }
  return info;
}

/** The audit log goes back to what it was at the time of the backup; from here on it says so. */
function recordRestore(database: Database, { madeAtMs, version }: BackupInfo, atMs: number): void {
  new AuditStore(database).append({
    atMs,
    actor: { kind: 'coordinator', name: null },
    remote: null,
    action: 'store.restore',
    target: null,
    outcome: 'done',
    reason: null,
    details: { madeAtMs, version },
    times: 1,
  });
}

/** The old store keeps a name of its own; at no moment is there none. */
function putInPlace(fresh: string, path: string): void {
  if (existsSync(path)) {
    const kept = `${path}.replaced`;
    rmSync(kept, { force: true });
    linkSync(path, kept);
  }
  // The log of the old one must not be taken for the new one's.
  for (const suffix of LOG_SUFFIXES) rmSync(path + suffix, { force: true });
  renameSync(fresh, path);
  syncToDisk(dirname(path));
}

const LOG_SUFFIXES = ['-wal', '-shm', '-journal'];

function removeStore(path: string): void {
  for (const suffix of ['', ...LOG_SUFFIXES]) rmSync(path + suffix, { force: true });
}

/** Run by root, for a coordinator that is not. */
function ownLike(folder: string, path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(folder);
  chownSync(path, uid, gid);
}

function refusing<T>(backup: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RestoreRefused) throw error;
    throw new RestoreRefused(`${backup}: ${messageOf(error)}`, { cause: error });
  }
}
