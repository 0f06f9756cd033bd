import { describe, expect, it } from 'vitest';
import { massRemovalOf, type Removable } from '../../src/ike/mass-removal.ts';
import { connectionNameSchema, linkIdSchema } from '../../src/ike/connection.ts';

const state = (connections: readonly string[], links: readonly string[] = []): Removable => ({
  connections: connections.map((name) => ({ name: connectionNameSchema.parse(`cygnet-${name}`) })),
  links: links.map((id) => ({ id: linkIdSchema.parse(id) })),
});

describe('a mass removal', () => {
  it.each<[string, Removable, Removable, string | undefined]>([
    ['everything of three', state(['a', 'b', 'c']), state([]), '3 of its 3 connections'],
    ['three of five', state(['a', 'b', 'c', 'd', 'e']), state(['a', 'b']), '3 of its 5 connections'],
    ['three of six, which is half', state(['a', 'b', 'c', 'd', 'e', 'f']), state(['a', 'b', 'c']), undefined],
    ['both of two', state(['a', 'b']), state([]), undefined],
    ['three that others replace', state(['a', 'b', 'c']), state(['d', 'e', 'f']), '3 of its 3 connections'],
    ['links alone', state(['a'], ['a--b', 'a--c', 'a--d']), state(['a']), '3 of its 3 links'],
    ['nothing', state(['a', 'b', 'c']), state(['a', 'b', 'c', 'd']), undefined],
  ])('%s', (_what, before, after, expected) => expect(massRemovalOf(before, after)).toBe(expected));
});
