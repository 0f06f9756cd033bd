import { describe, expect, it } from 'vitest';
import { apiMarkdown, table } from './api-markdown.ts';
import { anchor, Linker } from './linker.ts';

const method = { name: 'call', isMethod: true, isOptional: false, code: 'call(): void', doc: 'Calls.', needsDoc: true };

describe('links to what the page describes', () => {
  const linker = new Linker([
    { name: 'ViciSession', members: [method] },
    { name: 'ViciError', members: [] },
    { name: 'SaChange', members: [] },
  ]);

  it.each([
    ['See {@link ViciSession.call}.', 'See [`ViciSession.call`](#vicisession-call).'],
    ['{@link ViciSession.call | Calls}', '[Calls](#vicisession-call)'],
    ['Throws `ViciError`.', 'Throws [`ViciError`](#vicierror).'],
    ['{@link SaChange} and `SaChange`', '[`SaChange`](#sachange) and [`SaChange`](#sachange)'],
    ['{@link close} and `yes`', '`close` and `yes`'],
    ['[`ViciError`](elsewhere.md)', '[`ViciError`](elsewhere.md)'],
  ])('turn %j into %j', (docstring, markdown) => expect(linker.prose(docstring)).toBe(markdown));

  it('may leave out the class within it', () =>
    expect(linker.prose('{@link call} and `call`', 'ViciSession')).toBe(
      '[`call`](#vicisession-call) and [`call`](#vicisession-call)',
    ));

  it('lead nowhere from the place itself', () =>
    expect(linker.prose('{@link SaChange}', 'SaChange')).toBe('`SaChange`'));

  it.each([
    ['string', '`string`'],
    ['readonly ViciError[]', '[`readonly ViciError[]`](#vicierror)'],
    ['ViciError | SaChange', '`ViciError | SaChange` [ViciError](#vicierror) [SaChange](#sachange)'],
    ["'ViciError'", "`'ViciError'`"],
  ])('turn the type %j into %j', (type, markdown) => expect(linker.type(type)).toBe(markdown));
});

describe('the page', () => {
  it('has the anchors that GitHub gives to headings', () => {
    expect(anchor('cygnet/vici/testing')).toBe('#cygnetvicitesting');
    expect(anchor('Client: close')).toBe('#client-close');
  });

  it('keeps bars within their cell', () => expect(table(['a'], [['`x | y`']])).toBe('| a |\n| --- |\n| `x \\| y` |'));

  it('has a section for each export, fields in a table and methods below headings', () => {
    const field = {
      name: "'local-host'",
      isMethod: false,
      isOptional: true,
      code: 'string',
      doc: 'An\naddress.\n\nText.',
    };
    const members = [{ ...field, needsDoc: true }, method];
    const item = { name: 'Sa', file: 'sa.ts', signature: 'interface Sa', doc: 'An SA.', members, mentions: [] };
    expect(apiMarkdown('API', 'All of it.', [{ title: 'SAs', intro: '', exports: [item] }])).toBe(`# API

All of it.

- [SAs](#sas): [Sa](#sa)

## SAs

### Sa

\`\`\`ts
interface Sa
\`\`\`

An SA.

| field | type | meaning |
| --- | --- | --- |
| \`local-host?\` | \`string\` | An address.<br><br>Text. |

#### Sa: call

\`\`\`ts
call(): void
\`\`\`

Calls.
`);
  });
});
