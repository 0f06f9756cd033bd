import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../src/ike/import/disk.ts';
import { expandGlob } from '../../../src/ike/import/glob.ts';
import { importErrorOf, memoryDisk } from './memory-disk.ts';

describe('the machine’s own files', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cygnet-import-'));
    writeFileSync(join(folder, 'file'), '12345');
    mkdirSync(join(folder, 'folder'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are read up to the limit', () => {
    expect(Buffer.from(nodeDisk.read(join(folder, 'file'), 5)).toString()).toBe('12345');
    expect(importErrorOf(() => nodeDisk.read(join(folder, 'file'), 4)).code).toBe('too-much');
  });

  it('that claim to be empty, as in /proc, are read up to the limit as well', () => {
    expect(nodeDisk.read('/proc/self/status', 100_000).length).toBeGreaterThan(100);
    expect(importErrorOf(() => nodeDisk.read('/proc/self/status', 100)).code).toBe('too-much');
  });

  it('can be neither devices nor FIFOs, which may never end, nor folders', () => {
    const fifo = join(folder, 'fifo');
    execFileSync('/usr/bin/mkfifo', [fifo]);
    symlinkSync('/dev/zero', join(folder, 'zero'));
    for (const path of [fifo, join(folder, 'zero'), '/dev/zero', join(folder, 'folder')]) {
      expect(importErrorOf(() => nodeDisk.read(path, 10))).toMatchObject({ code: 'cannot-read', where: path });
      expect(nodeDisk.isFile(path)).toBe(false);
    }
  });

  it('that are not there are an error, folders that are not there are empty', () => {
    expect(importErrorOf(() => nodeDisk.read(join(folder, 'none'), 10)).detail).toBe('there is no such file');
    expect(nodeDisk.list(join(folder, 'none'))).toEqual([]);
    expect(nodeDisk.list(join(folder, 'file'))).toEqual([]);
    expect(nodeDisk.list(folder)).toEqual(['file', 'folder']);
    expect(nodeDisk.isFile(join(folder, 'file'))).toBe(true);
  });
});

describe('a pattern', () => {
  const disk = memoryDisk(
    Object.fromEntries(
      ['a.conf', 'b.conf', 'ab.conf', '.c.conf', 'a*', 'x]y', 'd/e.conf'].map((name) => [`/etc/${name}`, '']),
    ),
  );
  const names = (pattern: string): readonly string[] =>
    expandGlob(disk, `/etc/${pattern}`).map((path) => path.slice('/etc/'.length));

  it.each([
    ['a.conf', ['a.conf']],
    ['none', []],
    ['*.conf', ['a.conf', 'ab.conf', 'b.conf']],
    ['.*.conf', ['.c.conf']],
    ['?.conf', ['a.conf', 'b.conf']],
    ['[a-b].conf', ['a.conf', 'b.conf']],
    ['[!a].conf', ['b.conf']],
    ['[]]', []],
    ['x[]]y', ['x]y']],
    ['a\\*', ['a*']],
    ['*', ['a*', 'a.conf', 'ab.conf', 'b.conf', 'x]y']],
    ['a*b*.c*f', ['ab.conf']],
    ['[a', []],
  ])('%j finds %j', (pattern, found) => expect(names(pattern)).toEqual(found));

  it('with many stars takes no time to fail', () => {
    const long = memoryDisk({ [`/etc/${'a'.repeat(250)}`]: '' });
    expect(expandGlob(long, `/etc/${'*a'.repeat(120)}b`)).toEqual([]);
  });
});
