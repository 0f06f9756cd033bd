import { expect, it } from 'vitest';
import { styleFor } from '../../src/cli/style.ts';
import { renderTable } from '../../src/cli/table.ts';

it('aligns columns, puts notes below their row and leaves no trailing space', () => {
  const rows = [{ cells: ['edge1', 'yes', ''], notes: ['look here'] }, { cells: ['remote-site', '', 'x'] }];
  expect(renderTable(['NODE', 'ON', 'NOTE'], rows)).toBe(
    ['NODE         ON   NOTE', 'edge1        yes', '    look here', 'remote-site       x', ''].join('\n'),
  );
});

it('colours a cell without moving the others', () => {
  const { bad } = styleFor({ isTTY: true }, {});
  expect(renderTable(['A', 'B'], [{ cells: [{ text: 'no', paint: bad }, 'x'] }])).toBe(
    'A   B\n\u001B[31mno\u001B[39m  x\n',
  );
});

it('lets no text from a node reach the terminal as a command', () => {
  expect(renderTable(['A'], [{ cells: ['\u001B[2Jgone\n\u202Etxt'], notes: ['\u009B1m'] }])).toBe(
    'A\n?[2Jgone??txt\n    ?1m\n',
  );
});

it.each([
  ['a pipe', {}, {}],
  ['NO_COLOR', { isTTY: true }, { NO_COLOR: '1' }],
  ['a dumb terminal', { isTTY: true }, { TERM: 'dumb' }],
])('uses no colour on %s', (_what, stream, env) => {
  expect(styleFor(stream, env).bad('x')).toBe('x');
});
