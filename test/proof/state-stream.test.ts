import { expect, it } from 'vitest';
import { runStateStream } from './state-stream.ts';

const LIVES = 200;

it('a node holds only what was signed for it, never goes back, and ends up with what is wanted', () => {
  const wrong = Array.from({ length: LIVES }, (_, seed) => [seed, runStateStream(seed)] as const);
  expect(wrong.filter(([, problem]) => problem !== undefined)).toEqual([]);
});
