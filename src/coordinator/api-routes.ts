import { z } from 'zod';
import { nodeNameSchema } from '../ike/connection.ts';
import { tokenRequestSchema } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { Coordinator } from './coordinator.ts';
import { SpecRefused } from './spec-in-force.ts';

/** What a route needs of a request; both come from outside and are checked by the route. */
export interface ApiRequest {
  readonly query: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a request with what goes out as JSON. Throws an ApiRefused. */
type Route = (coordinator: Coordinator, request: ApiRequest) => unknown;

const flag = z.enum(['true', 'false']).default('false');
const dryRunSchema = z.strictObject({ dryRun: flag });
const nothingSchema = z.strictObject({});

const tokenBodySchema = tokenRequestSchema.extend({ node: nodeNameSchema });

/** By path, then by method. The event stream is none of these: it has no end. */
export const API_ROUTES: ReadonlyMap<string, Readonly<Record<string, Route>>> = new Map([
  [
    '/v1/spec',
    {
      GET: (coordinator, { query }) => {
        parseQuery(nothingSchema, query);
        if (coordinator.spec === undefined) throw new ApiRefused('not-found', 'no mesh spec was applied yet');
        return coordinator.spec;
      },
      PUT: (coordinator, { query, body }) => {
        const { dryRun } = parseQuery(dryRunSchema, query);
        return applySpec(coordinator, body, dryRun === 'true');
      },
    },
  ],
  [
    '/v1/tokens',
    {
      POST: (coordinator, { query, body }) => {
        parseQuery(nothingSchema, query);
        const { node, ttlSeconds } = parseJson(tokenBodySchema, body);
        return coordinator.issueToken(node, ttlSeconds);
      },
    },
  ],
  ['/v1/nodes', { GET: (coordinator) => ({ nodes: coordinator.nodes() }) }],
  ['/v1/links', { GET: (coordinator) => ({ links: coordinator.links() }) }],
  ['/v1/status', { GET: (coordinator) => coordinator.status() }],
] satisfies [string, Record<string, Route>][]);

/** Checks a query; a parameter that nobody knows is refused, for a typing error must not be an apply. */
export function parseQuery<T>(schema: z.ZodType<T>, query: ApiRequest['query']): T {
  return checked(schema, query, 'the query of this request');
}

function applySpec(coordinator: Coordinator, text: string, dryRun: boolean): unknown {
  try {
    return coordinator.applySpec(text, { dryRun });
  } catch (error) {
    if (!(error instanceof SpecRefused)) throw error;
    const count = error.mistakes.length;
    const message = `the mesh spec has ${count} ${count === 1 ? 'mistake' : 'mistakes'}; nothing was changed`;
    throw new ApiRefused('spec-refused', message, { details: error.mistakes, cause: error });
  }
}

function parseJson<T>(schema: z.ZodType<T>, text: string): T {
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
