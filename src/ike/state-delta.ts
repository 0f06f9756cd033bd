import { z } from 'zod';
import { canonicalJson } from '../json.ts';

/**
 * The difference between two desired states as JSON: what a node is sent instead of the whole when it holds the former.
 * Nothing here is trusted: whoever applies a delta compares the digest of what comes out with one that is signed.
 */
type Edit =
  | { readonly set: unknown }
  /** An object's fields; null takes one away. */
  | { readonly fields: readonly EditOf[] }
  /** A list of objects that is in the order of one of their fields; null takes one away. */
  | { readonly by: ItemKey; readonly items: readonly EditOf[] };
type EditOf = readonly [key: string, edit: Edit | null];

const ITEM_KEYS = ['name', 'id'] as const;
type ItemKey = (typeof ITEM_KEYS)[number];

/** Objects and lists inside each other; a desired state has 6. */
const DEPTH_MAX = 8;

/** A delta that does not fit what it is applied to, or is none. */
export class DeltaError extends Error {
  override readonly name = 'DeltaError';
}

/** What makes `after` out of `before`, as text. Both are objects as JSON has them. */
export function diffStates(before: JsonObject, after: JsonObject): string {
  return canonicalJson(editBetween(before, after, DEPTH_MAX) ?? { fields: [] });
}

/**
 * The value that `delta` makes out of `before`, which stays as it is.
 * @throws DeltaError
 */
export function patchState(before: unknown, delta: string): unknown {
  return applied(before, parseEdit(delta));
}

/** Undefined when there is no difference. */
function editBetween(before: unknown, after: unknown, depth: number): Edit | undefined {
  if (canonicalJson(before) === canonicalJson(after)) return undefined;
  if (depth > 0 && isObject(before) && isObject(after)) {
    return { fields: editsBetween(mapOf(before), mapOf(after), depth - 1) };
  }
  if (depth > 0 && Array.isArray(before) && Array.isArray(after)) {
    const by = ITEM_KEYS.find((key) => isInOrder(before, key) && isInOrder(after, key));
    if (by !== undefined) return { by, items: editsBetween(itemsBy(before, by), itemsBy(after, by), depth - 1) };
  }
  return { set: after };
}

function editsBetween(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
  depth: number,
): EditOf[] {
  const dropped = [...before.keys()].filter((key) => !after.has(key)).map((key): EditOf => [key, null]);
  const edited = [...after].flatMap(([key, value]): EditOf[] => {
    const edit = before.has(key) ? editBetween(before.get(key), value, depth) : { set: value };
    return edit === undefined ? [] : [[key, edit]];
  });
  return [...dropped, ...edited];
}

function applied(before: unknown, edit: Edit): unknown {
  if ('set' in edit) return edit.set;
  if ('fields' in edit) {
    if (!isObject(before)) throw new DeltaError('it edits the fields of something that has none');
    return Object.fromEntries(appliedTo(mapOf(before), edit.fields));
  }
  if (!Array.isArray(before) || !isInOrder(before, edit.by)) {
    throw new DeltaError(`it edits a list by ${edit.by} that is no such list`);
  }
  const items = appliedTo(itemsBy(before, edit.by), edit.items);
  return [...items].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item);
}

function appliedTo(before: ReadonlyMap<string, unknown>, edits: readonly EditOf[]): Map<string, unknown> {
  const result = new Map(before);
  for (const [key, edit] of edits) {
    if (edit === null) result.delete(key);
    else result.set(key, applied(before.get(key), edit));
  }
  return result;
}

export type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function mapOf(object: JsonObject): Map<string, unknown> {
  return new Map(Object.entries(object));
}

function keyOf(item: unknown, by: ItemKey): string | undefined {
  const key = isObject(item) && Object.hasOwn(item, by) ? item[by] : undefined;
  return typeof key === 'string' ? key : undefined;
}

/** Every item has such a key, and each is above the one before. */
function isInOrder(list: readonly unknown[], by: ItemKey): boolean {
  return list.every((item, index) => {
    const [key, former] = [keyOf(item, by), index === 0 ? '' : keyOf(list[index - 1], by)];
    return key !== undefined && former !== undefined && (index === 0 || former < key);
  });
}

/** Of a list that is in order. */
function itemsBy(list: readonly unknown[], by: ItemKey): Map<string, unknown> {
  return new Map(list.map((item) => [keyOf(item, by) ?? '', item]));
}

function editSchema(depth: number): z.ZodType<Edit> {
  const set = z.strictObject({ set: z.unknown() });
  if (depth === 0) return set;
  const edits = z.array(z.tuple([z.string(), editSchema(depth - 1).nullable()]));
  return z.union([set, z.strictObject({ fields: edits }), z.strictObject({ by: z.enum(ITEM_KEYS), items: edits })]);
}

const anyEditSchema = editSchema(DEPTH_MAX);

function parseEdit(delta: string): Edit {
  try {
    return anyEditSchema.parse(JSON.parse(delta));
  } catch (cause) {
    throw new DeltaError('it is no delta', { cause });
  }
}
