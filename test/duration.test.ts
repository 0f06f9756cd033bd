import { expect, it } from 'vitest';
import { parseDurationSeconds } from '../src/duration.ts';

it.each([
  ['30s', 30],
  ['60m', 3600],
  ['24h', 86_400],
  ['7d', 604_800],
  ['90', 90],
  ['0', 0],
])('reads %s as %i seconds', (text, seconds) => {
  expect(parseDurationSeconds(text)).toBe(seconds);
});

it.each(['', '5y', '-1s', '1.5h', ' 1s', '1s ', '1e9', '12345678901s', 'm'])('does not read "%s"', (text) => {
  expect(parseDurationSeconds(text)).toBeUndefined();
});
