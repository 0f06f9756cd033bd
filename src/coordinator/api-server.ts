import { mkdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { ApiErrorBody } from '../api-error.ts';
import type { Logger } from '../log.ts';
import { listenOnUnixSocket } from '../unix-socket.ts';
import { YAML_BYTES_MAX } from '../yaml-document.ts';
import { API_REFUSALS, ApiRefused } from './api-refused.ts';
import type { ApiRequest } from './api-request.ts';
import { API_ROUTES, type ApiRoute } from './api-routes.ts';
import type { Origin } from './audit-log.ts';
import type { Coordinator } from './coordinator.ts';

/** A mesh spec at its largest, and a little more so that it is the spec's own check that refuses one. */
const BODY_BYTES_MAX = YAML_BYTES_MAX + 1024;
const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

export interface ApiServerOptions {
  readonly socketPath: string;
  readonly coordinator: Coordinator;
  readonly logger: Logger;
}

/** Disposal ends every request, streams included. */
export interface ApiServer extends AsyncDisposable {
  readonly socketPath: string;
}

/**
 * Serves the operator's API on a Unix socket that only its owner can use, until disposed. Rejects when another
 * coordinator serves it or the path cannot be used.
 */
export async function openApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const stop = new AbortController();
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      answer(request, response, options, stop.signal).catch((error: unknown) =>
        refuse(response, error, options.logger),
      );
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  mkdirSync(dirname(options.socketPath), { recursive: true, mode: 0o755 });
  await listenOnUnixSocket(server, { path: options.socketPath, mode: 0o600 });
  return { socketPath: options.socketPath, [Symbol.asyncDispose]: () => close(server, stop) };
}

async function close(server: Server, stop: AbortController): Promise<void> {
  stop.abort();
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { coordinator }: ApiServerOptions,
  stopped: AbortSignal,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://coordinator');
  const query = Object.fromEntries(url.searchParams);
  const { method = '' } = request;
  const route = routeOf(url.pathname, method);
  if ('stream' in route) {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, stopped]);
    return await route.stream(coordinator, { query, body: '' }, response, signal);
  }
  const body = await bodyOf(request);
  reply(response, 200, await answerOf(route, coordinator, { query, body }));
}

/** The whole socket is its owner's, so there is nobody to tell apart on it. */
const SOCKET_OWNER: Origin = { actor: { kind: 'socket', name: null }, remote: null };

async function answerOf(
  route: Exclude<ApiRoute, { readonly stream: unknown }>,
  coordinator: Coordinator,
  request: ApiRequest,
): Promise<unknown> {
  if (!('action' in route)) return await route.answer(coordinator, request);
  const attempt = coordinator.audit.begin(route.action, SOCKET_OWNER);
  try {
    const answer = await route.answer(coordinator, request, attempt);
    attempt.succeeded();
    return answer;
  } catch (error) {
    if (error instanceof ApiRefused) attempt.refused(error.message);
    else attempt.failed(error);
    throw error;
  }
}

function routeOf(path: string, method: string): ApiRoute {
  const methods = API_ROUTES.get(path);
  if (methods === undefined) throw new ApiRefused('not-found', `there is nothing at ${path}`);
  const route = Object.entries(methods).find(([name]) => name === method)?.[1] as ApiRoute | undefined;
  if (route !== undefined) return route;
  throw new ApiRefused('bad-method', `${path} knows ${Object.keys(methods).join(' and ')}, not ${method}`);
}

/** A body that is too large is read to its end and dropped: a client that is still writing would not see the answer. */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  if (bytes > BODY_BYTES_MAX) throw new ApiRefused('too-large', `a request has at most ${BODY_BYTES_MAX} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function refuse(response: ServerResponse, error: unknown, logger: Logger): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  if (error instanceof ApiRefused) {
    const { code, message, details } = error;
    const body: ApiErrorBody = { error: { code, message, details: [...details] } };
    return reply(response, API_REFUSALS[code], body);
  }
  logger.error({ err: error }, 'request of the operator failed');
  const message = 'the coordinator could not do it, see its log';
  reply(response, 500, { error: { code: 'internal', message, details: [] } } satisfies ApiErrorBody);
}
