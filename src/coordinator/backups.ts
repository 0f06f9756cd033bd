import { createReadStream, rmSync, statSync, type ReadStream } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { readIfThere } from '../durable-file.ts';
import { caPinOf, type MeshCa } from '../identity/mesh-ca.ts';
import { KEY_FILES, sealBackup, type BackupKeyFile } from './backup-file.ts';
import type { Store } from './store.ts';

export interface BackupsDeps {
  /** Where the store and the keys are, and where a backup is made before it is sent. */
  readonly stateDir: string;
  readonly store: Pick<Store, 'copyTo'>;
  readonly ca: MeshCa;
  readonly version: string;
  readonly clock: Clock;
}

/** A backup that is about to be sent. */
export interface Backup {
  readonly bytes: number;
  readonly stream: ReadStream;
}

/** Makes backups of the store while it is in use, one at a time. */
export class Backups {
  readonly #deps: BackupsDeps;
  #isBusy = false;

  constructor(deps: BackupsDeps) {
    this.#deps = deps;
  }

  /**
   * A consistent copy of the store as it is now, with the keys if that is wanted. Undefined while another one is being
   * sent. The file behind it is gone when the stream has closed.
   */
  make({ withKeys }: { readonly withKeys: boolean }): Backup | undefined {
    if (this.#isBusy) return undefined;
    const path = join(this.#deps.stateDir, 'coordinator.db.backup');
    // One that a crash has left behind.
    remove(path);
    try {
      this.#write(path, withKeys);
      const backup = { bytes: statSync(path).size, stream: createReadStream(path) };
      this.#isBusy = true;
      backup.stream.once('close', () => {
        this.#isBusy = false;
        remove(path);
      });
      return backup;
    } catch (error) {
      remove(path);
      throw error;
    }
  }

  #write(path: string, withKeys: boolean): void {
    const { stateDir, store, ca, version, clock } = this.#deps;
    const keyFiles = KEY_FILES.flatMap((name): BackupKeyFile[] => {
      const text = readIfThere(join(stateDir, name));
      return text === undefined ? [] : [{ name, text }];
    });
    const info = {
      version,
      mesh: ca.mesh,
      madeAtMs: clock.nowMs(),
      caPin: caPinOf(ca.certificatePem),
      keysInStateDir: keyFiles.some(({ name }) => name === 'ca.key'),
    };
    store.copyTo(path);
    sealBackup(path, info, withKeys ? keyFiles : []);
  }
}

/** SQLite's own files as well, of a copy that was being sealed. */
function remove(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
}
