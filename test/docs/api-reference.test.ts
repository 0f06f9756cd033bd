import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { apiReference } from './api-reference.ts';
import { anchor } from './linker.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

describe('the API of the VICI library', () => {
  const { markdown, undocumented, unnameable } = apiReference(ROOT);

  it('has a docstring on every export, field and method', () => expect(undocumented).toEqual([]));

  it('exports every type that its exports mention', () => expect(unnameable).toEqual([]));

  it('is in docs/vici-api.md as it is (else run npm run docs:api)', () =>
    expect(markdown).toMatchFileSnapshot('../../docs/vici-api.md'));

  it('has one heading for every link within it', () => {
    const anchors = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));
    const links = [...markdown.matchAll(/\]\((#[^)]*)\)/g)].map(([, link = '']) => link);
    expect(links.filter((link) => anchors.filter((target) => target === link).length !== 1)).toEqual([]);
  });
});
