import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Database } from '../../src/coordinator/database.ts';

let folder: string;
let database: Database;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-database-'));
  database = new Database(join(folder, 'coordinator.db'));
});

afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true });
});

const put = (key: string): void => database.run('INSERT INTO meta (key, value) VALUES (?, ?)', key, '');
const keys = (): string[] =>
  database.all(z.object({ key: z.string() }), 'SELECT key FROM meta ORDER BY key').map(({ key }) => key);

describe('a transaction within another', () => {
  it('is written with it', () => {
    expect(
      database.transaction(() => {
        put('a');
        return database.transaction(() => {
          put('b');
          return 7;
        });
      }),
    ).toBe(7);
    expect(keys()).toEqual(['a', 'b']);
  });

  it('is undone with it', () => {
    const outer = (): void =>
      database.transaction(() => {
        database.transaction(() => put('a'));
        throw new Error('no');
      });
    expect(outer).toThrow('no');
    expect(keys()).toEqual([]);
    database.transaction(() => put('b'));
    expect(keys()).toEqual(['b']);
  });
});

describe('a transaction that the disk does not take', () => {
  const pages = (count: number): void => void database.get(z.unknown(), `PRAGMA max_page_count = ${count}`);
  const putMuch = (): void =>
    database.run('INSERT INTO meta (key, value) VALUES (?, ?)', 'much', 'x'.repeat(1_000_000));

  it('says so, leaves nothing, and works when there is room', () => {
    pages(1);
    const write = (): void =>
      database.transaction(() => {
        put('a');
        putMuch();
      });
    expect(write).toThrow(expect.objectContaining({ name: 'StoreError', code: 'not-written' }));
    expect(write).toThrow(/full/);
    expect(keys()).toEqual([]);
    pages(100_000);
    write();
    expect(keys()).toEqual(['a', 'much']);
  });
});
