import { chmodSync, linkSync, mkdirSync, readFileSync, statSync, writeFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { StateFile, StateFileError } from '../../src/agent/disk.ts';
import { temporaryFolder } from './temporary-folder.ts';

const schema = z.strictObject({ name: z.string(), count: z.number() });
const value = { name: 'edge1', count: 3 };

const fileIn = (folder: string): StateFile<z.output<typeof schema>> => new StateFile(join(folder, 'a.json'), schema);

describe('a state file', () => {
  it('gives back what was written, for this user only', () => {
    const folder = temporaryFolder();
    fileIn(folder).write(value);
    expect(fileIn(folder).read()).toEqual(value);
    expect(statSync(join(folder, 'a.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['a.json']);
  });

  it('that is not there is undefined', () => expect(fileIn(temporaryFolder()).read()).toBeUndefined());

  it('makes its folder, for this user only', () => {
    const folder = join(temporaryFolder(), 'state');
    fileIn(folder).write(value);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  });

  it('is the old one when a write fails', () => {
    const folder = temporaryFolder();
    const file = fileIn(folder);
    file.write(value);
    mkdirSync(join(folder, 'a.json.new'));
    expect(() => file.write({ name: 'other', count: 1 })).toThrow(StateFileError);
    expect(file.read()).toEqual(value);
  });

  it('replaces what a crash in the middle of a write left behind', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.json.new'), 'x'.repeat(4000));
    fileIn(folder).write(value);
    expect(fileIn(folder).read()).toEqual(value);
  });

  it('with any byte altered is refused or means the same', () => {
    const folder = temporaryFolder();
    const file = fileIn(folder);
    file.write(value);
    const good = readFileSync(join(folder, 'a.json'));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ flip;
        writeFileSync(join(folder, 'a.json'), bad);
        try {
          expect(file.read()).toEqual(value);
        } catch (error) {
          expect(error).toBeInstanceOf(StateFileError);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('cut anywhere is refused', () => {
    const folder = temporaryFolder();
    const file = fileIn(folder);
    file.write(value);
    const good = readFileSync(join(folder, 'a.json'));
    for (let length = 0; length < good.length - 1; length += 1) {
      writeFileSync(join(folder, 'a.json'), good.subarray(0, length));
      expect(() => file.read(), `cut at ${length}`).toThrow(StateFileError);
    }
  });

  it.each([
    ['no JSON', 'sha256: x'],
    ['another JSON', '{"name":"edge1","count":3}'],
    ['a bare value', 'null'],
    ['a wrong checksum', JSON.stringify({ sha256: 'abc', value })],
  ])('with %s is refused, and named', (_what, text) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.json'), text);
    expect(() => fileIn(folder).read()).toThrow(StateFileError);
    expect(() => fileIn(folder).read()).toThrow(join(folder, 'a.json'));
  });

  it('of another version is refused, for all its checksum', () => {
    const folder = temporaryFolder();
    new StateFile(join(folder, 'a.json'), z.unknown()).write({ ...value, extra: 1 });
    expect(() => fileIn(folder).read()).toThrow(/extra/);
  });

  it('that cannot be written leaves no half of itself on a disk that may be full', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'a.json', 'in the way'), { recursive: true });
    expect(() => fileIn(folder).write(value)).toThrow(StateFileError);
    expect(readdirSync(folder)).toEqual(['a.json']);
  });

  it('keeps its previous copy, and no third name, through a write that failed', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'a.json');
    const file = new StateFile(path, schema, { keepsPrevious: true });
    file.write(value);
    // As a write leaves them that could not give the new one its name.
    linkSync(path, `${path}.previous`);
    file.write({ ...value, count: 4 });
    expect(readdirSync(folder).sort()).toEqual(['a.json', 'a.json.previous']);
    expect(readFileSync(`${path}.previous`, 'utf8')).toContain('"count":3');
  });

  it('that can be had again is as good as none when it cannot be used, and is told of', () => {
    const folder = temporaryFolder();
    const told: StateFileError[] = [];
    writeFileSync(join(folder, 'a.json'), '{');
    expect(fileIn(folder).readIfUsable((error) => told.push(error))).toBeUndefined();
    expect(told).toEqual([expect.any(StateFileError)]);
    fileIn(folder).write(value);
    expect(fileIn(folder).readIfUsable((error) => told.push(error))).toEqual(value);
    expect(told).toHaveLength(1);
  });

  it('that is too large is refused', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.json'), Buffer.alloc(16 * 1024 * 1024 + 1, ' '));
    expect(() => fileIn(folder).read()).toThrow(/larger than/);
  });

  it('that is no file is refused', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'a.json'));
    chmodSync(join(folder, 'a.json'), 0o700);
    expect(() => fileIn(folder).read()).toThrow(StateFileError);
  });
});
