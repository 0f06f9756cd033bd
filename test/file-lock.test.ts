import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withFileLock } from '../src/file-lock.ts';
import { somebodyWaitsFor } from './kernel-locks.ts';

const NOBODY = 65_534;

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-lock-'));
  path = join(folder, 'lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Asks for the lock; `over` is what has happened by now. */
function asked(work: () => Promise<void> = () => Promise.resolve()): { readonly over: string[]; done: Promise<void> } {
  const over: string[] = [];
  const done = withFileLock(path, async () => {
    over.push('begun');
    await work();
    over.push('done');
  });
  return { over, done };
}

async function waits({ over }: { readonly over: readonly string[] }): Promise<void> {
  while (over.length === 0 && !somebodyWaitsFor(path)) await new Promise(setImmediate);
  expect(over).toEqual([]);
}

describe('a locked file', () => {
  it('is gone afterwards, also when the work fails', async () => {
    const failing = withFileLock(path, () => {
      expect(existsSync(path)).toBe(true);
      return Promise.reject(new Error('no'));
    });
    await expect(failing).rejects.toThrow('no');
    expect(existsSync(path)).toBe(false);
  });

  it('is another one for who has waited, and keeps out who comes then', async () => {
    let third: ReturnType<typeof asked> | undefined;
    const second = await withFileLock(path, async () => {
      const waiting = asked(async () => waits((third = asked())));
      await waits(waiting);
      return waiting;
    });
    await second.done;
    await third?.done;
    expect(third?.over).toEqual(['begun', 'done']);
    expect(existsSync(path)).toBe(false);
  });

  it('of another user’s is named, and what to do about it', async () => {
    writeFileSync(path, '', { mode: 0o400 });
    chmodSync(folder, 0o755);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    const { done } = asked();
    if (isRoot) process.seteuid?.(0);
    await expect(done).rejects.toThrow(`${path} may not be opened by this user: if a process of another user`);
  });
});
