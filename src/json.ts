import { createHash } from 'node:crypto';

/** JSON with object keys in sorted order: equal values give equal text, so that a digest can stand for the value. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Hex SHA-256 of the canonical JSON. */
export function digestOf(value: unknown): string {
  return digestOfText(canonicalJson(value));
}

/** Hex SHA-256 of a text as it is. */
export function digestOfText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
