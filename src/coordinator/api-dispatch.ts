import { HttpRefusal, type HttpExchange } from '../http-service.ts';
import { YAML_BYTES_MAX } from '../yaml-document.ts';
import { ApiRefused } from './api-refused.ts';
import { API_ROUTES, type ApiRoute } from './api-routes.ts';
import type { Origin } from './audit-log.ts';
import type { Coordinator } from './coordinator.ts';
import { StoreError } from './database.ts';
import { suffices, type Role } from './role.ts';

/** A mesh spec at its largest, and a little more so that it is the spec's own check that refuses one. */
export const BODY_BYTES_MAX = YAML_BYTES_MAX + 1024;

/** Who sends a request, once that is certain. */
export interface Caller {
  readonly role: Role;
  readonly origin: Origin;
}

/**
 * Answers a request of the operator's API, or refuses it; whoever may not do it has not been read any further. What
 * changes something, and what is refused for want of a role, is in the audit log.
 */
export async function dispatch(coordinator: Coordinator, caller: Caller, exchange: HttpExchange): Promise<unknown> {
  const { method, url, response, signal } = exchange;
  const route = routeOf(url.pathname, method);
  if (!suffices(caller.role, route.role)) throw forbidden(coordinator, caller, route, exchange);
  if ('action' in route) return await change(route, coordinator, caller, exchange);
  const request = { query: Object.fromEntries(url.searchParams), body: '' };
  if (route.recorded !== undefined) {
    const attempt = coordinator.audit.begin(route.recorded, caller.origin);
    attempt.about(url.pathname, request.query);
    attempt.succeeded();
  }
  if ('stream' in route) return await route.stream(coordinator, request, response, signal);
  return await route.answer(coordinator, request);
}

function routeOf(path: string, method: string): ApiRoute {
  const methods = API_ROUTES.get(path);
  if (methods === undefined) throw new ApiRefused('not-found', `there is nothing at ${path}`);
  const route = Object.entries(methods).find(([name]) => name === method)?.[1] as ApiRoute | undefined;
  if (route !== undefined) return route;
  throw new ApiRefused('bad-method', `${path} knows ${Object.keys(methods).join(' and ')}, not ${method}`);
}

function forbidden(coordinator: Coordinator, caller: Caller, route: ApiRoute, exchange: HttpExchange): ApiRefused {
  const message = `this needs the role ${route.role}, and the token has the role ${caller.role}`;
  const attempt = coordinator.audit.begin('action' in route ? route.action : 'read', caller.origin);
  attempt.about(exchange.url.pathname);
  attempt.refused(message);
  return new ApiRefused('forbidden', message);
}

/** However it ends, there is a record of it. */
async function change(
  route: Extract<ApiRoute, { readonly action: string }>,
  coordinator: Coordinator,
  caller: Caller,
  exchange: HttpExchange,
): Promise<unknown> {
  const attempt = coordinator.audit.begin(route.action, caller.origin);
  try {
    const body = await exchange.body();
    if (body !== '') checkContentType(exchange, route.bodyType ?? 'application/json');
    const query = Object.fromEntries(exchange.url.searchParams);
    const answer = await route.answer(coordinator, { query, body }, attempt);
    attempt.succeeded();
    return answer;
  } catch (error) {
    if (error instanceof HttpRefusal) attempt.refused(error.message);
    else attempt.failed(error);
    throw isNotWritten(error) ? notWritten(error) : error;
  }
}

function isNotWritten(error: unknown): error is StoreError {
  return error instanceof StoreError && error.code === 'not-written';
}

function notWritten(cause: StoreError): ApiRefused {
  const message = `nothing was changed, because the coordinator's disk did not take it (${cause.message}): see how full it is, and try again`;
  return new ApiRefused('not-written', message, { cause });
}

/** Another site's form can send a body, but not one of these types. */
function checkContentType({ request }: HttpExchange, wanted: string): void {
  const found = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? 'none';
  if (found !== wanted) throw new ApiRefused('bad-content-type', `the body must be ${wanted}, and is ${found}`);
}
