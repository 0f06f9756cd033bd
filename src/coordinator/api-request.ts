import type { z } from 'zod';
import { ApiRefused } from './api-refused.ts';

/** What a route needs of a request; both come from outside and are checked by the route. */
export interface ApiRequest {
  readonly query: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Checks a query; a parameter that nobody knows is refused, for a typing error must not be an apply. Throws an ApiRefused. */
export function parseQuery<T>(schema: z.ZodType<T>, query: ApiRequest['query']): T {
  return checked(schema, query, 'the query of this request');
}

/** Reads and checks a JSON body. Throws an ApiRefused. */
export function parseJson<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ApiRefused('bad-request', 'the body is not JSON', { cause });
  }
  return checked(schema, value, 'the body of this request');
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map(({ path, message }) => [...path.map(String), message].join(': '));
  throw new ApiRefused('bad-request', `${what} is wrong`, { details, cause: parsed.error });
}
