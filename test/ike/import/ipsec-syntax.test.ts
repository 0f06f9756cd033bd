import { describe, expect, it } from 'vitest';
import { importErrorOf, ipsec, messages, only, otherMessages } from './memory-disk.ts';

const conn = (...lines: readonly string[]): string =>
  ['conn net', '  right=192.0.2.1', '  auto=add', ...lines.map((line) => `  ${line}`), ''].join('\n');

const idOf = (line: string): string | undefined => only(ipsec(conn(line))).local.rounds[0]?.id;

describe('a value', () => {
  it.each([
    ['leftid=a.example', 'a.example'],
    ['leftid = a.example   # comment', 'a.example'],
    ['leftid="C=CN, O=Local Cluster, CN=a"', 'C=CN, O=Local Cluster, CN=a'],
    ['leftid="a # b"', 'a # b'],
    ['leftid="say \\"a\\" \\\\ b"', 'say "a" \\ b'],
    ['leftid="one\\\n  two"', 'one  two'],
    ['leftid=one   two', 'one two'],
    ['leftid=@#616263', '@#616263'],
    ['"leftid"=a.example', 'a.example'],
    ['leftid=a.example\r', 'a.example'],
  ])('%j reads %j', (line, id) => expect(idOf(line)).toBe(id));
});

describe('a file', () => {
  it.each([
    ['conn net\n  leftid=C=CN\n', 2, 'quotes'],
    ['conn net\n  leftid\n', 2, 'leftid without a value'],
    ['conn net\n  leftid="a\n  auto=add\n', 2, 'never ends'],
    ['conn net\nauto=add\n', 2, 'must be indented'],
    ['conn\n', 1, 'a name must be'],
    ['conn one two\n', 1, 'a line of its own'],
    ['conn näme\n', 1, 'printable ASCII'],
    ['\n\nnonsense\n', 3, 'expected'],
  ])('%j is refused at line %i', (text, line, detail) =>
    expect(importErrorOf(() => ipsec(text))).toMatchObject({
      code: 'syntax',
      where: { file: '/etc/ipsec.conf', line },
      detail: expect.stringContaining(detail),
    }),
  );

  it('may have comments, blank lines, an old version line and no line end at the end', () => {
    const config = ipsec('version 2.0\n# c\n\nconfig setup # c\n\tuniqueids=no\nconn net # c\n\t# c\n\tauto=add');
    expect(only(config)).toMatchObject({ name: 'net', ike: { unique: 'no' } });
    expect(otherMessages(config)).toEqual([]);
  });

  it('with a repeated key keeps the last one, and says where and what to write instead', () => {
    const config = ipsec(conn('leftsubnet=6.1.1.0/24', 'leftsubnet=6.1.2.0/24'));
    expect(only(config).children[0]?.localTs).toEqual(['6.1.2.0/24']);
    expect(otherMessages(config)).toEqual([
      '5: leftsubnet was set at /etc/ipsec.conf:4; strongSwan uses only this last one; for both write one line: ' +
        'leftsubnet=6.1.1.0/24,6.1.2.0/24',
    ]);
  });

  it('with a conn in two places makes one of them', () => {
    const config = ipsec(`${conn('leftid=a')}conn net\n  rightid=b\n`);
    expect(only(config)).toMatchObject({ local: { rounds: [{ id: 'a' }] }, remote: { rounds: [{ id: 'b' }] } });
    expect(otherMessages(config)).toEqual(['5: conn net goes on from /etc/ipsec.conf:1: strongSwan makes one of both']);
  });

  it('warns of settings outside of every section, and of words that nobody knows', () => {
    expect(otherMessages(ipsec(`  lost=1\n${conn('leftnexthop=%direct', 'fancy=yes')}`))).toEqual([
      '1: lost stands in no section; strongSwan ignores it',
      '5: leftnexthop: strongSwan has removed it; take it out',
      '6: fancy: strongSwan ignores it here as well',
    ]);
  });
});

describe('%default and also', () => {
  const inherited = (text: string): string | undefined => only(ipsec(text)).local.rounds[0]?.id;

  it('the own value wins over also, also over %default', () => {
    expect(inherited('conn %default\n leftid=d\n auto=add\nconn a\n auto=ignore\nconn b\n auto=add\n also=a\n')).toBe(
      'd',
    );
    expect(inherited('conn %default\n leftid=d\nconn a\n leftid=a\nconn b\n also=a\n auto=add\n')).toBe('a');
    expect(inherited('conn a\n leftid=a\nconn b\n also=a\n leftid=b\n auto=add\n')).toBe('b');
  });

  it('of several also the last one counts first, and a shared parent comes behind all', () => {
    const sections = 'conn a\n leftid=a\nconn b\n also=a\n leftid=b\nconn c\n also=a\n';
    expect(inherited(`${sections}conn d\n also=b\n also=c\n auto=add\n`)).toBe('b');
    expect(inherited(`${sections}conn d\n also=c\n also=b\n auto=add\n`)).toBe('b');
    expect(inherited('conn a\n leftid=a\nconn b\n leftid=b\nconn d\n also=a\n also=b\n auto=add\n')).toBe('b');
  });

  it('a key without a value takes an inherited one away', () =>
    expect(inherited('conn %default\n leftid=d\nconn a\n leftid=\n auto=add\n')).toBeUndefined());

  it('of two names for one setting the one that strongSwan reads last counts, even if it is inherited', () => {
    const config = ipsec('conn %default\n keylife=20m\nconn a\n lifetime=40m\n auto=add\n');
    expect(only(config).children[0]?.lifeSeconds).toBe(1200);
    expect(messages(config)[0]).toBe('2: lifetime and keylife are one setting; strongSwan uses this one');
  });

  it.each([
    ['conn a\n  also=b\n', 2, 'there is no such section'],
    ['conn a\n  also=a\n', 2, 'leads back to itself'],
    ['conn a\n  also=b\nconn b\n  also=c\nconn c\n  also=a\n', 6, 'leads back to itself'],
  ])('%j is refused at line %i, as by strongSwan', (text, line, detail) =>
    expect(importErrorOf(() => ipsec(`${text}  auto=add\n`))).toMatchObject({
      code: 'bad-reference',
      where: { line },
      detail: expect.stringContaining(detail),
    }),
  );
});

describe('include', () => {
  const main = 'include ipsec.d/*.conf\nconn last\n  auto=add\n';

  it('takes in files by a pattern relative to the file, in order, but no hidden ones and no folders', () => {
    const files = {
      '/etc/ipsec.d/b.conf': 'conn b\n  leftid=b\n  auto=add\n',
      '/etc/ipsec.d/a.conf': 'conn a\n  leftid=a\n  auto=add\n',
      '/etc/ipsec.d/.hidden.conf': 'conn hidden\n  auto=add\n',
      '/etc/ipsec.d/a.txt': 'nonsense',
      '/etc/other.conf': 'nonsense',
    };
    expect(ipsec(main, files).connections.map(({ name }) => name)).toEqual(['a', 'b', 'last']);
  });

  it('goes on with the section that it stands in, and names the file of a mistake', () => {
    const files = { '/etc/more': '  leftid=x\n', '/etc/bad': '\n  leftid\n' };
    expect(only(ipsec(conn('include more'), files)).local.rounds[0]?.id).toBe('x');
    expect(importErrorOf(() => ipsec(conn('include /etc/bad'), files)).where).toEqual({ file: '/etc/bad', line: 2 });
  });

  it('of a file that is not there is a warning, of a pattern that matches nothing not even that', () =>
    expect(otherMessages(ipsec(`include none\ninclude none*\n${conn()}`))).toEqual([
      '1: include: there is no /etc/none; strongSwan goes on without it, and so does this',
    ]));

  it('of itself ends at the tenth', () =>
    expect(importErrorOf(() => ipsec('include ipsec.conf\n'))).toMatchObject({ code: 'too-much', where: { line: 1 } }));

  it('of ever more files ends too', () =>
    expect(importErrorOf(() => ipsec('include ipsec.conf\ninclude ipsec.conf\n').warnings).code).toBe('too-much'));
});

describe('limits', () => {
  const many = (count: number, line: (index: number) => string): string =>
    Array.from({ length: count }, (_, i) => line(i)).join('');

  it.each([
    ['sections', many(3000, (i) => `conn c${i}\n`)],
    ['settings in a section', `conn a\n${many(300, (i) => ` key${i}=1\n`)}`],
    ['also in a section', `conn b\nconn a\n${many(40, () => ' also=b\n')}`],
    ['a chain of also', `${many(400, (i) => `conn c${i}\n also=c${i + 1}\n auto=add\n`)}conn c400\n`],
    ['a line', `conn a\n leftid=${'x'.repeat(20_000)}\n`],
    ['a quoted text', `conn a\n leftid="${'x\n'.repeat(20_000)}"\n`],
    ['a file', '#'.repeat(1024 * 1024 + 1)],
  ])('there are for %s', (_what, text) => expect(importErrorOf(() => ipsec(text)).code).toBe('too-much'));

  it.each([
    ['bytes that are no UTF-8', Uint8Array.of(0x63, 0xff), undefined],
    ['a NUL', new TextEncoder().encode('conn a\n leftid=\0\n'), 2],
    ['an escape sequence', new TextEncoder().encode('# \u001B[2J\n'), 1],
  ])('%s are refused', (_what, bytes, line) => {
    const error = importErrorOf(() => ipsec('include raw\n', { '/etc/raw': bytes }));
    expect(error.code).toBe('not-text');
    expect(error.where).toEqual(line === undefined ? '/etc/raw' : { file: '/etc/raw', line });
  });
});
