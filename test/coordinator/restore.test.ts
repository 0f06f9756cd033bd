import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RestoreRefused, restoreBackup, type RestoreOptions } from '../../src/coordinator/restore.ts';
import { openStore } from '../../src/coordinator/store.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { meshCa } from '../identity/mesh.ts';
import { CoreFixture } from './core-fixture.ts';
import { SEED_SPEC } from './spec-builders.ts';

let ca: MeshCa;
let mesh: CoreFixture;
let backup: string;
let stateDir: string;

beforeAll(async () => {
  ca = await meshCa();
});
beforeEach(async () => {
  mesh = new CoreFixture(ca);
  backup = join(mesh.folder, 'a-backup');
  stateDir = join(mesh.folder, 'new', 'state');
  writeFileSync(join(mesh.folder, 'ca.key'), ca.privateKeyPem);
  writeFileSync(join(mesh.folder, 'ca.crt'), ca.certificatePem);
  mesh.core.rollout.apply(SEED_SPEC, { dryRun: false });
  await mesh.enrol('edge1');
});
afterEach(() => mesh[Symbol.dispose]());

async function makeBackup(withKeys = true): Promise<void> {
  await writeFile(backup, mesh.core.backup({ withKeys })!.stream);
}

function restore(change: Partial<RestoreOptions> = {}): void {
  restoreBackup({ backup, stateDir, replace: false, ...change });
}

function inRestored<T>(use: (store: ReturnType<typeof openStore>) => T, folder = stateDir): T {
  const store = openStore(join(folder, 'coordinator.db'));
  try {
    return use(store);
  } finally {
    store.close();
  }
}

describe('a backup', () => {
  it('is a copy of what was committed when it was made, and leaves nothing in the state directory', async () => {
    await makeBackup();
    mesh.core.rollout.apply(`${SEED_SPEC}# later\n`, { dryRun: false });
    restore();
    inRestored((store) => {
      expect(store.mesh.currentSpec()?.text).toBe(SEED_SPEC);
      expect(store.admission.nodes().map(({ name }) => name)).toEqual(['edge1']);
    });
    expect(readdirSync(mesh.folder).filter((name) => name.includes('backup'))).toEqual(['a-backup']);
  });

  it('is made one at a time, and the next one when the first is through', async () => {
    const { stream } = mesh.core.backup({ withKeys: false })!;
    expect(mesh.core.backup({ withKeys: false })).toBeUndefined();
    await writeFile(backup, stream);
    await makeBackup();
  });

  it('holds keys only when it is to', async () => {
    await makeBackup(false);
    expect(readFileSync(backup, 'latin1')).not.toContain('PRIVATE KEY');
    await makeBackup(true);
    expect(readFileSync(backup, 'latin1')).toContain('PRIVATE KEY');
  });
});

describe('a restore', () => {
  it('brings back the keys, for this user only, and keeps them out of the store', async () => {
    await makeBackup();
    restore();
    expect(readFileSync(join(stateDir, 'ca.key'), 'utf8')).toBe(ca.privateKeyPem);
    expect(readFileSync(join(stateDir, 'ca.crt'), 'utf8')).toBe(ca.certificatePem);
    expect(statSync(join(stateDir, 'ca.key')).mode & 0o777).toBe(0o600);
    expect(statSync(join(stateDir, 'coordinator.db')).mode & 0o777).toBe(0o600);
    expect(readdirSync(stateDir).sort()).toEqual(['ca.crt', 'ca.key', 'coordinator.db', 'signing.key']);
  });

  it('begins a new epoch each time', async () => {
    await makeBackup();
    restore();
    const first = inRestored(({ signing }) => signing.epoch);
    restore({ replace: true });
    const epochs = [mesh.store.signing.epoch, first, inRestored(({ signing }) => signing.epoch)];
    expect(new Set(epochs).size).toBe(3);
  });

  it('is told of by the audit log, which goes on from where it was', async () => {
    await makeBackup();
    const { id, hash } = mesh.store.audit.head();
    restore();
    expect(inRestored(({ audit }) => audit.after(id, 10))).toMatchObject([
      { id: id + 1, previous: hash, action: 'store.restore', outcome: 'done' },
    ]);
  });

  it('keeps the store that it replaces', async () => {
    await makeBackup();
    restore();
    const first = inRestored(({ signing }) => signing.epoch);
    restore({ replace: true });
    const kept = openStore(join(stateDir, 'coordinator.db.replaced'));
    expect(kept.signing.epoch).toBe(first);
    kept.close();
  });

  it('replaces a store that is damaged', async () => {
    await makeBackup();
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(join(stateDir, 'coordinator.db'), 'no database'.repeat(1000));
    restore({ replace: true });
    inRestored((store) => expect(store.mesh.currentSpec()?.text).toBe(SEED_SPEC));
  });

  it('is content with keys that are there, if they are of this mesh', async () => {
    await makeBackup(false);
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(join(stateDir, 'ca.crt'), ca.certificatePem);
    restore();
    expect(existsSync(join(stateDir, 'coordinator.db'))).toBe(true);
  });

  describe('is refused, and changes nothing,', () => {
    function refused(reason: RegExp, change: Partial<RestoreOptions> = {}): void {
      const before = filesIn(stateDir);
      expect(() => restore(change)).toThrow(RestoreRefused);
      expect(() => restore(change)).toThrow(reason);
      expect(filesIn(stateDir)).toEqual(before);
    }

    const filesIn = (folder: string): [string, string][] =>
      existsSync(folder) ? readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'base64')]) : [];

    it('without a file', () => refused(/there is no such file/, { backup: '/nowhere' }));

    it('from what is no database', () => {
      writeFileSync(backup, 'x'.repeat(10_000));
      refused(/not a database/);
    });

    it('from a bare copy of a store', () => {
      mesh.store.copyTo(backup);
      refused(/not what meshctl backup makes/);
    });

    it('from a damaged backup', async () => {
      await makeBackup();
      const bytes = readFileSync(backup);
      bytes.fill(0xff, bytes.length / 2, bytes.length / 2 + 8192);
      writeFileSync(backup, bytes);
      refused(/a-backup: /);
    });

    it('over a store that is there', async () => {
      await makeBackup();
      mkdirSync(stateDir, { recursive: true });
      writeFileSync(join(stateDir, 'coordinator.db'), '');
      refused(/is there already; --replace/);
    });

    it('over a coordinator that runs, for all that it is to replace it', async () => {
      await makeBackup();
      expect(() => restore({ stateDir: mesh.folder, replace: true })).toThrow(/a coordinator is running/);
    });

    it('without keys', async () => {
      await makeBackup(false);
      refused(/put ca.key and ca.crt of mesh mesh.example into/);
    });

    it('beside the keys of another mesh', async () => {
      await makeBackup();
      mkdirSync(stateDir, { recursive: true });
      writeFileSync(join(stateDir, 'ca.crt'), (await meshCa()).certificatePem);
      refused(/of another mesh CA/);
    });
  });
});
