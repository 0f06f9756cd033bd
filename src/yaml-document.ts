import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Parser,
  type CST,
  type Document,
  type Pair,
} from 'yaml';
import type { z } from 'zod';
import { messageOf } from './errors.ts';

/** Text above this is refused before it is looked at. */
export const YAML_BYTES_MAX = 1024 * 1024;
/** The composer recurses, and ends the whole process when it does so too deeply. */
const NESTING_MAX = 32;
/** The composer compares every key of a map with every other. */
const KEYS_MAX = 5000;
/** Aliases are resolved this often in one document, so that a few lines cannot grow to gigabytes. */
const ALIASES_MAX = 100;

/** Something wrong in a document. Line and column count from 1; `path` is such as `links[1].path`, empty at the top. */
export interface Mistake {
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
}

/** Where a value is, by keys and indexes from the document's top. */
export type DocumentPath = readonly PropertyKey[];

export type YamlResult<T> =
  | { readonly ok: true; readonly value: T; readonly mistakeAt: (path: DocumentPath, message: string) => Mistake }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] };

/** Reads YAML (or JSON, which is YAML) and checks it; any text gives a result, with every mistake and where it is. */
export function parseYaml<T>(text: string, schema: z.ZodType<T>): YamlResult<T> {
  const hostile = refusalOf(text);
  if (hostile !== undefined) return { ok: false, mistakes: [hostile] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, stringKeys: true, prettyErrors: false });
  const mistakeAt = (path: DocumentPath, message: string): Mistake => ({
    ...positionOf(lines, offsetOf(document, path)),
    path: pathText(path),
    message,
  });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    const mistakes = problems.map(({ pos, message }) => ({ ...positionOf(lines, pos[0]), path: '', message }));
    return { ok: false, mistakes };
  }
  try {
    const parsed = schema.safeParse(document.toJS({ maxAliasCount: ALIASES_MAX }));
    if (parsed.success) return { ok: true, value: parsed.data, mistakeAt };
    return { ok: false, mistakes: parsed.error.issues.flatMap((issue) => mistakesOf(issue, mistakeAt)) };
  } catch (error) {
    return { ok: false, mistakes: [mistakeAt([], messageOf(error))] };
  }
}

/** `line 12: links[1]: unknown node "egde1"`. */
export function formatMistake(mistake: Mistake): string {
  return [`line ${mistake.line}`, mistake.path, mistake.message].filter((part) => part !== '').join(': ');
}

/** The parser itself works without recursion, so it can measure what the composer could not take. */
function refusalOf(text: string): Mistake | undefined {
  const refusal = (message: string): Mistake => ({ line: 1, column: 1, path: '', message });
  if (Buffer.byteLength(text) > YAML_BYTES_MAX) return refusal(`longer than ${YAML_BYTES_MAX} bytes`);
  const pending: [token: CST.Token, depth: number][] = [];
  for (const token of new Parser().parse(text)) pending.push([token, 0]);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [token, depth] = next;
    if (depth > NESTING_MAX) return refusal(`nested more than ${NESTING_MAX} deep`);
    if (isMapToken(token) && token.items.length > KEYS_MAX) return refusal(`more than ${KEYS_MAX} fields in one place`);
    for (const child of childrenOf(token)) pending.push([child, depth + 1]);
  }
  return undefined;
}

function isMapToken(token: CST.Token): token is CST.BlockMap | CST.FlowCollection {
  return token.type === 'block-map' || (token.type === 'flow-collection' && token.start.type === 'flow-map-start');
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((child) => child !== undefined && child !== null));
}

function positionOf(lines: LineCounter, offset: number): { readonly line: number; readonly column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Offset of the value at the path, or of the innermost thing on the way to it that exists. */
function offsetOf(document: Document, path: DocumentPath): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(({ key }) => isScalar(key) && key.value === segment);
      offset = startOf(pair?.key) ?? offset;
      node = pair?.value;
    } else if (isSeq(node) && typeof segment === 'number') {
      node = node.items[segment];
      offset = startOf(node) ?? offset;
    } else {
      break;
    }
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function pathText(path: DocumentPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

function mistakesOf(issue: z.core.$ZodIssue, mistakeAt: (path: DocumentPath, message: string) => Mistake): Mistake[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => mistakeAt([...issue.path, key], 'there is no such field'));
  }
  if (issue.code === 'invalid_key') {
    return [mistakeAt(issue.path, `bad name: ${issue.issues[0]?.message ?? issue.message}`)];
  }
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return [mistakeAt(issue.path, missing ? 'is missing' : issue.message.replace(/^Invalid input: /, ''))];
}
