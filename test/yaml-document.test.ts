import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatMistake, parseYaml, YAML_BYTES_MAX } from '../src/yaml-document.ts';

const schema = z.strictObject({
  name: z.string(),
  ports: z.array(z.number()).default([]),
  hosts: z.record(z.string().regex(/^[a-z]+$/, 'lower case only'), z.number()).default({}),
});

function mistakes(text: string): string[] {
  const result = parseYaml(text, schema);
  return result.ok ? [] : result.mistakes.map(formatMistake);
}

describe('parseYaml', () => {
  it('reads YAML, and JSON with tabs', () => {
    expect(parseYaml('name: a\nports: [1]\n', schema)).toMatchObject({ ok: true, value: { name: 'a', ports: [1] } });
    expect(parseYaml('{\n\t"name": "a",\n\t"ports": [1]\n}', schema)).toMatchObject({ ok: true });
  });

  it('tells every mistake, with its line and path', () => {
    expect(mistakes('ports:\n  - 1\n  - two\nnames: b\nhosts:\n  UP: 1\n')).toEqual([
      'line 1: name: is missing',
      'line 3: ports[1]: expected number, received string',
      'line 6: hosts.UP: bad name: lower case only',
      'line 4: names: there is no such field',
    ]);
  });

  it('finds the column', () => {
    const result = parseYaml('{name: a, ports: [1, x]}', schema);
    expect(result).toMatchObject({ ok: false, mistakes: [{ line: 1, column: 22, path: 'ports[1]' }] });
  });

  it.each([
    ['a key twice', 'name: a\nname: b\n', 'line 2: Map keys must be unique'],
    ['a tab as indentation', 'hosts:\n\ta: 1\n', 'line 2: Tabs are not allowed as indentation'],
    ['an unknown tag', 'name: !include secret\n', 'line 1: Unresolved tag: !include'],
    ['two documents', 'name: a\n---\nname: b\n', 'line 2: Source contains multiple documents'],
    ['an alias without an anchor', 'name: *other\n', 'line 1: Unresolved alias'],
    ['nothing', '', 'line 1: expected object, received null'],
  ])('refuses %s', (_what, text, expected) => {
    expect(mistakes(text)[0]).toContain(expected);
  });

  it('keeps keys that look like numbers or prototypes as plain names', () => {
    const free = z.record(z.string(), z.number());
    expect(parseYaml('007: 1\n__proto__: 2\n', free)).toMatchObject({
      ok: true,
      value: Object.fromEntries([['007', 1]]),
    });
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  it('refuses what would exhaust the parser: depth, aliases, width, size', () => {
    const bomb = ['a0: &a0 [1,1,1,1,1,1,1,1]', ...levels(9)].join('\n');
    const wide = Array.from({ length: 6000 }, (_, index) => `k${index}: 1`).join('\n');
    expect(mistakes('['.repeat(20_000))).toEqual(['line 1: nested more than 32 deep']);
    expect(mistakes('- '.repeat(20_000))).toEqual(['line 1: nested more than 32 deep']);
    expect(mistakes(bomb)[0]).toContain('Excessive alias count');
    expect(mistakes(wide)[0]).toContain('more than 5000 fields');
    expect(mistakes('#'.repeat(YAML_BYTES_MAX + 1))[0]).toContain('longer than');
  });
});

function levels(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(8)}]`);
}
