import { expect, it } from 'vitest';
import { parseBenchOptions } from './options.ts';

const NAMES = ['load / floor', 'load / swanctl'];
const parse = (...args: string[]) => parseBenchOptions(args, NAMES);

it('shows a table unless JSON is asked for', () => {
  expect(parse()).toEqual({ json: false, table: true, only: [] });
  expect(parse('--json')).toMatchObject({ json: true, table: false });
  expect(parse('--json', '--table')).toMatchObject({ json: true, table: true });
});

it('takes parts of names', () => expect(parse('--only', 'floor', '--only=load').only).toEqual(['floor', 'load']));

it.each([[['--fast']], [['row']], [['--only']], [['--only', 'flour']]])('refuses %j', (args) =>
  expect(() => parse(...args)).toThrow(TypeError),
);
