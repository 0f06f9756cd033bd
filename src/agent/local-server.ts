import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';
import type { ApiErrorBody } from '../api-error.ts';
import type { NodeEvent } from '../control/report.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { listenOnUnixSocket } from '../unix-socket.ts';
import {
  enrollCommandSchema,
  pingCommandSchema,
  type AgentStatus,
  type EnrollCommand,
  type NetCheck,
  type PingCommand,
  type PingResult,
} from './api.ts';

/** What the local socket offers. */
export interface LocalApiHandlers {
  readonly status: () => Promise<AgentStatus>;
  readonly keptEvents: () => readonly NodeEvent[];
  readonly followEvents: (signal: AbortSignal) => AsyncIterable<NodeEvent>;
  /** Rejects with a LocalRefusal. */
  readonly enroll: (command: EnrollCommand) => Promise<{ readonly node: string; readonly mesh: string }>;
  /** Rejects with a LocalRefusal. */
  readonly ping: (command: PingCommand) => Promise<PingResult>;
  /** Rejects with a LocalRefusal. */
  readonly netCheck: () => Promise<NetCheck>;
}

/** A "no" for the user of agentctl. `status` 400: the request is wrong; 409: not in this state; 502: the other end. */
export class LocalRefusal extends Error {
  override readonly name = 'LocalRefusal';
  readonly status: 400 | 404 | 405 | 409 | 413 | 502;
  readonly code: string;

  constructor(status: LocalRefusal['status'], code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

const BODY_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 64;

/** Serves the agent's HTTP API on a Unix socket (mode 0660) until disposed. Rejects when another agent serves it. */
export async function serveLocalApi(
  socketPath: string,
  handlers: LocalApiHandlers,
  logger: Logger,
): Promise<AsyncDisposable> {
  const stop = new AbortController();
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => {
    answer(request, response, handlers, stop.signal).catch((error: unknown) => refuse(response, error, logger));
  });
  server.maxConnections = CONNECTIONS_MAX;
  await listenOnUnixSocket(server, { path: socketPath, mode: 0o660 });
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: LocalApiHandlers,
  stopped: AbortSignal,
): Promise<void> {
  const target = request.url ?? '/';
  if (!URL.canParse(target, 'http://agent')) throw new LocalRefusal(400, 'bad-request', 'the path is no path');
  const url = new URL(target, 'http://agent');
  switch (url.pathname) {
    case '/v1/status':
      expectMethod(request, 'GET');
      return reply(response, 200, await handlers.status());
    case '/v1/events':
      expectMethod(request, 'GET');
      return await streamEvents(response, handlers, url.searchParams.get('follow') === 'true', stopped);
    case '/v1/enroll': {
      expectMethod(request, 'POST');
      const command = parsed(enrollCommandSchema, await bodyOf(request));
      return reply(response, 200, await handlers.enroll(command));
    }
    case '/v1/ping':
      expectMethod(request, 'POST');
      return reply(response, 200, await handlers.ping(parsed(pingCommandSchema, await bodyOf(request))));
    case '/v1/netcheck':
      expectMethod(request, 'POST');
      return reply(response, 200, await handlers.netCheck());
    default:
      throw new LocalRefusal(404, 'not-found', `there is nothing at ${url.pathname}`);
  }
}

function expectMethod(request: IncomingMessage, method: string): void {
  if (request.method !== method) throw new LocalRefusal(405, 'bad-method', `only ${method} is possible here`);
}

/** A body that is too large is read to its end and dropped: a client that is still writing would not see the answer. */
async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  if (bytes > BODY_BYTES_MAX) {
    throw new LocalRefusal(413, 'too-large', `a request has at most ${BODY_BYTES_MAX} bytes`);
  }
  return Buffer.concat(chunks).toString('utf8');
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

async function streamEvents(
  response: ServerResponse,
  handlers: LocalApiHandlers,
  isFollowing: boolean,
  stopped: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  // Listening begins before the kept ones are read, in the same turn: none is lost or doubled.
  const following = isFollowing ? handlers.followEvents(AbortSignal.any([gone.signal, stopped])) : [];
  // Flushed, or a client that waits for a quiet node's first event would take it for dead.
  response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
  for (const event of handlers.keptEvents()) response.write(`${JSON.stringify(event)}\n`);
  for await (const event of following) {
    const isRoomLeft = response.write(`${JSON.stringify(event)}\n`);
    if (!isRoomLeft) await drained(response, gone.signal);
  }
  response.end();
}

function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      response.off('drain', finish);
      gone.removeEventListener('abort', finish);
      resolve();
    };
    response.once('drain', finish);
    gone.addEventListener('abort', finish, { once: true });
  });
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function refuse(response: ServerResponse, error: unknown, logger: Logger): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (!(error instanceof LocalRefusal)) logger.error({ err: error }, 'local request failed');
  const [status, code] = error instanceof LocalRefusal ? [error.status, error.code] : [500, 'internal'];
  const body: ApiErrorBody = { error: { code, message: messageOf(error), details: [] } };
  reply(response, status, body);
}
