import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/ike/import/read-config.ts';
import { recogniseSource } from '../../../src/ike/import/recognise.ts';
import { importErrorOf, memoryDisk } from './memory-disk.ts';

describe('a file is recognised', () => {
  it.each([
    ['conn net\n', 'ipsec'],
    ['# c\n\nconfig setup\n', 'ipsec'],
    ['ca org\n', 'ipsec'],
    ['include x\nconn net\n', 'ipsec'],
    ['connections {\n', 'swanctl'],
    ['  secrets{\n', 'swanctl'],
    ['connections\n{\n', 'swanctl'],
    ['base : other {\n', 'swanctl'],
    ['# conn net\nconnections {\n', 'swanctl'],
    ['conn {\n', 'ipsec'],
    ['', undefined],
    ['hello\n', undefined],
  ])('%j is %j', (text, source) => expect(recogniseSource('/tmp/file', text)).toBe(source));

  it.each([
    ['/etc/ipsec.conf', 'ipsec'],
    ['/etc/swanctl/swanctl.conf', 'swanctl'],
    ['/etc/other.conf', undefined],
  ])('%s by its name when the content tells nothing', (path, source) =>
    expect(recogniseSource(path, 'include conf.d/*\n')).toBe(source),
  );
});

describe('reading', () => {
  const disk = memoryDisk({ '/a': 'conn net\n  auto=add\n', '/b': 'connections { net { } }', '/c': 'hello\n' });

  it('goes by what was recognised', () => {
    expect(readConfig('/a', { disk }).source).toBe('ipsec');
    expect(readConfig('/b', { disk }).source).toBe('swanctl');
    expect(importErrorOf(() => readConfig('/c', { disk })).code).toBe('not-recognised');
  });

  it('goes by what the caller says', () =>
    expect(importErrorOf(() => readConfig('/a', { disk, source: 'swanctl' })).code).toBe('syntax'));

  it('refuses separate secrets for a swanctl.conf', () =>
    expect(importErrorOf(() => readConfig('/b', { disk, secretsPath: '/a' })).code).toBe('not-recognised'));
});
