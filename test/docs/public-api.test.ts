import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { undocumentedIn, unnameableIn } from './gaps.ts';
import { PublicApi } from './public-api.ts';

const STREAM = `stream<T>(
  value: T,
  options?: Options,
  accept?: (value: T) => boolean,
  timesMax?: number,
): AsyncGenerator<T, void, undefined>`;

describe('the reader of a public API', () => {
  const api = new PublicApi(fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, ''));
  afterAll(() => api[Symbol.dispose]());
  const sample = api.exportsOf('test/docs/sample.ts');
  const found = (name: string) => sample.find((item) => item.name === name);
  const membersOf = (name: string) => found(name)?.members.map(({ name, code }) => [name, code]);

  it.each([
    ['BYTES_MAX', 'const BYTES_MAX = 4 * 1024'],
    ['TABLE', 'const TABLE = { … }'],
    ['Address', 'type Address = { readonly path: string } | { readonly port: number }'],
    ['Options', 'type Options = Address & { … }'],
    ['Bare', 'interface Bare<T> extends Iterable<T>'],
    ['Client', 'class Client implements AsyncDisposable'],
    ['read', 'function read(hidden: Hidden): string'],
  ])('shows %s as its user sees it', (name, signature) => expect(found(name)?.signature).toBe(signature));

  it('lists exports in the order of their source', () =>
    expect(sample.map(({ name }) => name)).toEqual([
      'BYTES_MAX',
      'TABLE',
      'Address',
      'Options',
      'Bare',
      'Client',
      'read',
    ]));

  it('lists the fields of an interface, those of objects in it, and its methods', () =>
    expect(membersOf('Bare')).toEqual([
      ['body', '{ … }'],
      ['body.restarted', 'boolean'],
      ["'local-host'", 'string'],
      ['close', 'close(name: (typeof NAMES)[number]): void'],
    ]));

  it('lists the fields of an object type', () => expect(membersOf('Options')).toEqual([['timeoutMs', 'number']]));

  it('lists what is public in a class, with defaults as optional parameters', () =>
    expect(membersOf('Client')).toEqual([
      ['name', 'string'],
      ['tries', 'number'],
      ['constructor', 'constructor(options: Options)'],
      ['isClosed', 'boolean'],
      ['stream', STREAM],
      ['connect', 'static connect(options: Options): Promise<Client>'],
      ['[Symbol.asyncDispose]', '[Symbol.asyncDispose](): Promise<void>'],
    ]));

  it('takes the docstrings without their frame', () => {
    expect(found('BYTES_MAX')?.doc).toBe('Bytes at most.');
    expect(found('Bare')?.members[0]?.doc).toBe('The first line,\nand the second.');
  });

  it('finds what has no docstring', () =>
    expect(undocumentedIn(sample)).toEqual([
      'Bare',
      'Bare.body.restarted',
      "Bare.'local-host'",
      'Client.[Symbol.asyncDispose]',
    ]));

  it('finds what is mentioned and not exported', () =>
    expect(unnameableIn(sample)).toEqual(['NAMES (of Bare)', 'Hidden (of read)']));

  it('refuses a file that is no module, and a table that is not there', () => {
    expect(() => api.exportsOf('test/docs/nowhere.ts')).toThrow('is no module');
    expect(() => api.typeTable('test/docs/sample.ts', 'Nothing')).toThrow('has no Nothing');
  });

  it('reads the types of a table', () =>
    expect([...api.typeTable('test/docs/sample.ts', 'Bare')]).toContainEqual([
      'body',
      '{ readonly restarted: boolean; }',
    ]));
});
