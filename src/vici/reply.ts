import { z } from 'zod';
import { isSection, itemBytes, type ViciSection, type ViciValue } from './message.ts';
import { ViciError } from './vici-error.ts';

/** Schema of a section with known keys. Other keys are dropped: a newer charon may well have more. */
export function sectionOf<S extends z.ZodRawShape>(shape: S) {
  return z.preprocess((value) => (value instanceof Map ? Object.fromEntries(value) : value), z.object(shape));
}

/** charon writes numbers as decimal text. */
export const countText = z
  .string()
  .regex(/^\d{1,20}$/, 'a decimal number')
  .transform(Number);

/**
 * What a reply means. Whatever the command, `success = no` becomes `command-failed` with charon's own text; a reply
 * that the schema does not fit is `malformed-message`.
 */
export function readReply<S extends z.ZodType>(command: string, reply: ViciSection, schema: S): z.output<S> {
  if (reply.get('success') === 'no') {
    throw new ViciError('command-failed', textOf(reply.get('errmsg')) ?? 'no reason given', { command });
  }
  const parsed = schema.safeParse(reply);
  if (parsed.success) return parsed.data;
  const detail = `reply does not fit: ${z.prettifyError(parsed.error)}`;
  throw new ViciError('malformed-message', detail, { command, cause: parsed.error });
}

/** charon's messages quote identities and names in whatever encoding they have. */
function textOf(value: ViciValue | undefined): string | undefined {
  if (value === undefined || isSection(value)) return undefined;
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? Buffer.from(itemBytes(value)).toString('latin1') : undefined;
}
