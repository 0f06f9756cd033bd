import { once } from 'node:events';
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withFileLock } from '../src/file-lock.ts';
import { listenOnUnixSocket } from '../src/unix-socket.ts';
import { somebodyWaitsFor } from './kernel-locks.ts';

let folder: string;
let path: string;
const servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-socket-'));
  path = join(folder, 'x.sock');
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true });
});

function server(): Server {
  const made = createServer((socket) => socket.end());
  servers.push(made);
  return made;
}

/** Somebody else's group where that is possible, or the own one. */
const groupId = process.geteuid?.() === 0 ? 65_534 : (process.getgid?.() ?? 0);

const metaOf = (file: string): [mode: number, groupId: number] => [statSync(file).mode & 0o777, statSync(file).gid];

const entries = (): string[] => readdirSync(folder);

/** What a process leaves behind that is killed. */
async function leaveStale(): Promise<void> {
  const killed = server();
  killed.listen(join(folder, 'killed'));
  await once(killed, 'listening');
  renameSync(join(folder, 'killed'), path);
  await closed(killed);
}

async function closed(closing: Server): Promise<void> {
  closing.close();
  await once(closing, 'close');
}

describe('a Unix socket', () => {
  it('has its mode and group from the moment it is there, whatever the umask', async () => {
    const umask = process.umask(0);
    const seen: unknown[] = [];
    const look = (): void => {
      for (const name of entries().filter((each) => each !== 'x.sock.lock')) {
        seen.push(name === 'x.sock' ? ['socket', ...metaOf(join(folder, name))] : metaOf(join(folder, name))[0]);
      }
    };
    const made = server().once('listening', look);
    const over = { yet: false };
    void listenOnUnixSocket(made, { path, mode: 0o640, groupId }).then(() => (over.yet = true));
    while (!over.yet) {
      look();
      await new Promise((resolve) => setImmediate(resolve));
    }
    process.umask(umask);
    expect(metaOf(path)).toEqual([0o640, groupId]);
    // Until then there was only a folder of its owner's.
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen.map((each) => JSON.stringify(each)))).toEqual(new Set([JSON.stringify(0o700)]));
    expect(entries()).toEqual(['x.sock']);
  });

  it('is served by one of two that begin at once', async () => {
    const results = await Promise.allSettled([
      listenOnUnixSocket(server(), { path, mode: 0o600 }),
      listenOnUnixSocket(server(), { path, mode: 0o600 }),
    ]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await once(connect(path), 'connect');
    expect(entries()).toEqual(['x.sock']);
  });

  it('of a killed process is not removed by one that has found it stale when another one has taken its place', async () => {
    await leaveStale();
    const [first, second] = [server(), server()];
    const outcome = await withFileLock(`${path}.lock`, async () => {
      const late = listenOnUnixSocket(second, { path, mode: 0o600 }).then(
        () => 'serves',
        (error: Error) => error.message,
      );
      // Now it has found what there is, or it waits for us.
      const settled = { yet: false };
      void late.then(() => (settled.yet = true));
      while (!settled.yet && !somebodyWaitsFor(`${path}.lock`)) await new Promise(setImmediate);
      rmSync(path, { force: true });
      first.listen(path);
      await once(first, 'listening');
      return { late };
    });
    expect(await outcome.late).toBe(`another process serves ${path}`);
    await once(connect(path), 'connect');
    expect(second.listening).toBe(false);
  });

  it('of a killed process is taken over', async () => {
    await leaveStale();
    await listenOnUnixSocket(server(), { path, mode: 0o600 });
    await once(connect(path), 'connect');
  });

  it('goes with its server, unless it is another one by now', async () => {
    const [first, second] = [server(), server()];
    await listenOnUnixSocket(first, { path, mode: 0o600 });
    rmSync(path);
    await listenOnUnixSocket(second, { path, mode: 0o600 });
    await closed(first);
    await once(connect(path), 'connect');
    await closed(second);
    expect(entries()).toEqual([]);
  });

  it('is not left half made where it cannot be', async () => {
    await expect(listenOnUnixSocket(server(), { path: join(folder, 'x'.repeat(300)), mode: 0o600 })).rejects.toThrow(
      /ENAMETOOLONG/,
    );
    expect(entries()).toEqual([]);
  });
});
