import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { assertNever, messageOf, systemCodeOf } from '../src/errors.ts';

function thrownBy(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('what was thrown', () => {
  it.each([
    [new Error('broke'), 'broke'],
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [{ toString: (): string => 'odd' }, 'odd'],
  ])('has a message', (thrown, message) => expect(messageOf(thrown)).toBe(message));

  it('has the code of the system error that it is', () =>
    expect(systemCodeOf(thrownBy(() => readFileSync('/nonexistent')))).toBe('ENOENT'));

  it.each([[new Error('x')], [Object.assign(new Error('x'), { code: 7 })], [{ code: 'ENOENT' }], ['ENOENT']])(
    'has none otherwise',
    (thrown) => expect(systemCodeOf(thrown)).toBeUndefined(),
  );
});

it('a case that cannot be is told with its value', () =>
  expect(() => assertNever({ type: 'new' } as never)).toThrow('{"type":"new"}'));
