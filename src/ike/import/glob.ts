import type { Disk } from './disk.ts';

/** One character's worth of a pattern. */
type Token = { readonly kind: 'any-text' } | { readonly kind: 'one'; readonly accepts: (character: string) => boolean };

/** Paths that one pattern may lead to, on the way included. */
const CANDIDATES_MAX = 10_000;

/** True when `glob(3)` would look into folders for the pattern. */
export function hasWildcard(pattern: string): boolean {
  return /[*?[]/.test(pattern);
}

/**
 * The regular files that match an absolute pattern, sorted, as `glob(3)` finds them: `*`, `?` and `[a-z]` within one
 * part of the path, a leading dot only when it is written, a backslash takes the next character as it is.
 */
export function expandGlob(disk: Disk, pattern: string): readonly string[] {
  let paths: readonly string[] = [''];
  for (const part of pattern.split('/').filter((part) => part !== '')) {
    paths = paths.flatMap((path) => expandPart(disk, path, part)).slice(0, CANDIDATES_MAX);
  }
  return paths.filter((path) => disk.isFile(path));
}

function expandPart(disk: Disk, folder: string, part: string): readonly string[] {
  if (!hasWildcard(part)) return [`${folder}/${part.replaceAll(/\\(.)/g, '$1')}`];
  const tokens = tokensOf(part);
  return disk
    .list(folder === '' ? '/' : folder)
    .filter((name) => (!name.startsWith('.') || part.startsWith('.')) && matches(tokens, Array.from(name)))
    .map((name) => `${folder}/${name}`);
}

function tokensOf(part: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const [text, set] of part.matchAll(/\\.|\[(!?\]?[^\]]*)\]|[\s\S]/gu)) {
    if (text === '*') tokens.push({ kind: 'any-text' });
    else if (text === '?') tokens.push({ kind: 'one', accepts: () => true });
    else if (set !== undefined) tokens.push({ kind: 'one', accepts: memberOf(set) });
    else tokens.push({ kind: 'one', accepts: (character) => character === text.replace(/^\\(?=.)/, '') });
  }
  return tokens;
}

function memberOf(set: string): (character: string) => boolean {
  const negated = set.startsWith('!');
  const ranges = Array.from(set.slice(negated ? 1 : 0).matchAll(/(.)-(.)|(.)/gsu), ([, from, to, single]) => ({
    from: from ?? single ?? '',
    to: to ?? single ?? '',
  }));
  return (character) => ranges.some(({ from, to }) => from <= character && character <= to) !== negated;
}

/** In time of at most the product of the two lengths: only the last `*` is ever tried again. */
function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  let at = 0;
  let star: { readonly token: number; at: number } | undefined;
  for (let token = 0; at < name.length || token < tokens.length;) {
    const next = tokens[token];
    if (next?.kind === 'any-text') {
      star = { token, at };
      token += 1;
    } else if (next !== undefined && at < name.length && next.accepts(name[at] ?? '')) {
      token += 1;
      at += 1;
    } else if (star !== undefined && star.at < name.length) {
      star.at += 1;
      at = star.at;
      token = star.token + 1;
    } else {
      return false;
    }
  }
  return true;
}
