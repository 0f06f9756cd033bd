import { expect, it } from 'vitest';
import { parsePathsBenchOptions } from './options.ts';

const parse = (...args: string[]) =>
  parsePathsBenchOptions(args, ({ strongswan }) => strongswan.map((version) => `deaths, ${version}`));

it('measures both versions in full unless told otherwise', () => {
  expect(parse()).toEqual({ json: false, table: true, only: [], strongswan: ['5.9', '6.0'], quick: false });
  expect(parse('--strongswan', '6.0', '--quick', '--json')).toMatchObject({ strongswan: ['6.0'], quick: true });
});

it('knows the rows of the chosen versions', () => {
  expect(parse('--only', '5.9').only).toEqual(['5.9']);
  expect(() => parse('--only', '5.9', '--strongswan', '6.0')).toThrow(TypeError);
});

it.each([[['--strongswan', '5.8']], [['--slow']], [['--only', 'births']]])('refuses %j', (args) =>
  expect(() => parse(...args)).toThrow(TypeError),
);
