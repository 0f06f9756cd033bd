import { createServer } from 'node:http';
import { z } from 'zod';
import type { NodeEvent } from '../control/report.ts';
import { beginLines, createHttpService, HttpRefusal, writeLines, type HttpExchange } from '../http-service.ts';
import type { Logger } from '../log.ts';
import { listenOnUnixSocket, type UnixSocketOptions } from '../unix-socket.ts';
import {
  enrollCommandSchema,
  pingCommandSchema,
  reconnectCommandSchema,
  type AgentStatus,
  type CertificateStatus,
  type EnrollCommand,
  type NetCheck,
  type PingCommand,
  type PingResult,
  type ReconnectCommand,
  type ReconnectResult,
} from './api.ts';

/** What the local sockets offer. */
export interface LocalApiHandlers {
  readonly status: () => Promise<AgentStatus>;
  readonly keptEvents: () => readonly NodeEvent[];
  readonly followEvents: (signal: AbortSignal) => AsyncIterable<NodeEvent>;
  /** Rejects with a LocalRefusal. */
  readonly enroll: (command: EnrollCommand) => Promise<{ readonly node: string; readonly mesh: string }>;
  /** Rejects with a LocalRefusal. */
  readonly renew: () => Promise<{ readonly certificates: readonly CertificateStatus[] }>;
  /** Rejects with a LocalRefusal. */
  readonly ping: (command: PingCommand) => Promise<PingResult>;
  /** Rejects with a LocalRefusal. */
  readonly reconnect: (command: ReconnectCommand) => Promise<ReconnectResult>;
  /** Rejects with a LocalRefusal. */
  readonly netCheck: () => Promise<NetCheck>;
}

/** A "no" for the user of agentctl. `status` 400: the request is wrong; 409: not in this state; 502: the other end. */
export class LocalRefusal extends HttpRefusal {
  override readonly name = 'LocalRefusal';
}

const BODY_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

interface LocalRoute {
  readonly method: 'GET' | 'POST';
  /** `look`: changes nothing and makes this node send nothing. Only such a route is on the socket for readers. */
  readonly kind: 'look' | 'act';
  readonly answer: (handlers: LocalApiHandlers, exchange: HttpExchange) => Promise<unknown>;
}

/** All of the agent's API, by path. */
export const LOCAL_ROUTES: ReadonlyMap<string, LocalRoute> = new Map<string, LocalRoute>([
  ['/v1/status', { method: 'GET', kind: 'look', answer: (handlers) => handlers.status() }],
  ['/v1/events', { method: 'GET', kind: 'look', answer: streamEvents }],
  [
    '/v1/enroll',
    {
      method: 'POST',
      kind: 'act',
      answer: async (handlers, { body }) => handlers.enroll(parsed(enrollCommandSchema, await body())),
    },
  ],
  [
    '/v1/ping',
    {
      method: 'POST',
      kind: 'act',
      answer: async (handlers, { body }) => handlers.ping(parsed(pingCommandSchema, await body())),
    },
  ],
  [
    '/v1/reconnect',
    {
      method: 'POST',
      kind: 'act',
      answer: async (handlers, { body }) => handlers.reconnect(parsed(reconnectCommandSchema, await body())),
    },
  ],
  ['/v1/renew', { method: 'POST', kind: 'act', answer: (handlers) => handlers.renew() }],
  ['/v1/netcheck', { method: 'POST', kind: 'act', answer: (handlers) => handlers.netCheck() }],
]);

/** Serves all of the agent's API on a Unix socket of its owner's, until disposed. Rejects when another agent serves it. */
export function serveLocalApi(path: string, handlers: LocalApiHandlers, logger: Logger): Promise<AsyncDisposable> {
  return serve({ path, mode: 0o600 }, LOCAL_ROUTES, handlers, logger);
}

/** Serves what only looks on another socket, for a group: the process's own, or the one that is named. */
export function serveReaders(
  socket: Omit<UnixSocketOptions, 'mode'>,
  handlers: LocalApiHandlers,
  logger: Logger,
): Promise<AsyncDisposable> {
  const looks = new Map([...LOCAL_ROUTES].filter(([, { kind }]) => kind === 'look'));
  return serve({ ...socket, mode: 0o660 }, looks, handlers, logger);
}

async function serve(
  socket: UnixSocketOptions,
  routes: typeof LOCAL_ROUTES,
  handlers: LocalApiHandlers,
  logger: Logger,
): Promise<AsyncDisposable> {
  const service = createHttpService(createServer, {
    bodyBytesMax: BODY_BYTES_MAX,
    connectionsMax: CONNECTIONS_MAX,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    answer: (exchange) => answer(routes, handlers, exchange),
    logger,
  });
  await listenOnUnixSocket(service.server, socket);
  return service;
}

async function answer(
  routes: typeof LOCAL_ROUTES,
  handlers: LocalApiHandlers,
  exchange: HttpExchange,
): Promise<unknown> {
  const { method, url } = exchange;
  const route = routes.get(url.pathname);
  if (route === undefined) {
    const elsewhere = LOCAL_ROUTES.has(url.pathname) ? ' on this socket, which is for looking only' : '';
    throw new LocalRefusal(404, 'not-found', `there is nothing at ${url.pathname}${elsewhere}`);
  }
  if (method !== route.method) throw new LocalRefusal(405, 'bad-method', `only ${route.method} is possible here`);
  return await route.answer(handlers, exchange);
}

function parsed<T>(schema: z.ZodType<T>, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new LocalRefusal(400, 'bad-request', 'the body is not JSON', { cause });
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new LocalRefusal(400, 'bad-request', z.prettifyError(result.error));
  return result.data;
}

async function streamEvents(handlers: LocalApiHandlers, { url, response, signal }: HttpExchange): Promise<void> {
  const isFollowing = url.searchParams.get('follow') === 'true';
  // Listening begins before the kept ones are read, in the same turn: none is lost or doubled.
  const following = isFollowing ? handlers.followEvents(signal) : [];
  beginLines(response);
  for (const event of handlers.keptEvents()) response.write(`${JSON.stringify(event)}\n`);
  for await (const event of following) await writeLines(response, [event], signal);
  response.end();
}
