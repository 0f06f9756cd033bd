import { once } from 'node:events';
import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { ApiErrorBody } from './api-error.ts';
import type { Logger } from './log.ts';

/** The HTTP of the agent's and of the coordinator's API: JSON in and out, refusals in one shape, everything bounded. */

/** A "no" to a request. Message and details go to whoever asked. */
export class HttpRefusal extends Error {
  override readonly name: string = 'HttpRefusal';
  readonly status: number;
  /** A closed word for programs. */
  readonly code: string;
  readonly details: readonly string[];
  /** More headers of the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, options: HttpRefusalOptions = {}) {
    super(message, options);
    this.status = status;
    this.code = code;
    this.details = options.details ?? [];
    this.headers = options.headers ?? {};
  }
}

export interface HttpRefusalOptions extends ErrorOptions {
  readonly details?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request, as its handler sees it. */
export interface HttpExchange {
  readonly method: string;
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborts when the client has gone or the service ends. */
  readonly signal: AbortSignal;
  /** The whole body; rejects with a HttpRefusal when it is too large. */
  readonly body: () => Promise<string>;
}

export interface HttpServiceOptions {
  /** Bytes of one body. */
  readonly bodyBytesMax: number;
  readonly connectionsMax: number;
  /** From a request's first byte to its last. */
  readonly requestTimeoutMs: number;
  /**
   * Resolves to what is sent as JSON; to undefined when it has written the response itself. A HttpRefusal goes to the
   * client; anything else that it rejects with goes to the log.
   */
  readonly answer: (exchange: HttpExchange) => Promise<unknown>;
  readonly logger: Logger;
}

/** Of all headers of a request together; larger ones are answered 431 by Node. */
const HEADER_BYTES_MAX = 8 * 1024;
const CHECK_INTERVAL_MS = 1000;

/** For browsers, should one ever get here: nothing is to be kept, guessed, framed, or used by another site. */
const SAFE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

export interface HttpService<S extends Server = Server> extends AsyncDisposable {
  /** For its owner to let it listen. */
  readonly server: S;
}

/** Makes a service on the server that `create` makes. Disposal ends every request, streams included. */
export function createHttpService<S extends Server>(
  create: (options: ServerOptions, listener: RequestListener) => S,
  options: HttpServiceOptions,
): HttpService<S> {
  const stop = new AbortController();
  const { connectionsMax, requestTimeoutMs, logger } = options;
  const server = create(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
    },
    (request, response) => {
      answer(request, response, options, stop.signal).catch((error: unknown) => refuse(response, error, logger));
    },
  );
  server.maxConnections = connectionsMax;
  // Their bytes are bounded. Node would leave out those beyond a number, and one that is left out cannot be checked.
  server.maxHeadersCount = 0;
  return { server, [Symbol.asyncDispose]: () => close(server, stop) };
}

/** Begins a reply of one JSON value per line. Flushed, or a client that waits for the first would take us for dead. */
export function beginLines(response: ServerResponse): void {
  response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'application/x-ndjson' }).flushHeaders();
}

/** Writes lines of such a reply. Resolves when more can be written, or `signal` aborts. */
export async function writeLines(
  response: ServerResponse,
  values: readonly unknown[],
  signal: AbortSignal,
): Promise<void> {
  if (values.length === 0 || response.write(values.map((value) => `${JSON.stringify(value)}\n`).join(''))) return;
  try {
    await once(response, 'drain', { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function close(server: Server, stop: AbortController): Promise<void> {
  stop.abort();
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpServiceOptions,
  stopped: AbortSignal,
): Promise<void> {
  const target = request.url ?? '/';
  if (!URL.canParse(target, 'http://local')) throw new HttpRefusal(400, 'bad-request', 'the path is no path');
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const reply = await options.answer({
    method: request.method ?? '',
    url: new URL(target, 'http://local'),
    request,
    response,
    signal: AbortSignal.any([gone.signal, stopped]),
    body: () => bodyOf(request, options.bodyBytesMax),
  });
  if (reply !== undefined) send(response, 200, reply);
}

/** A body that is too large is read to its end and dropped: a client that is still writing would not see the answer. */
async function bodyOf(request: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes <= bytesMax) chunks.push(chunk);
  }
  if (bytes > bytesMax) throw new HttpRefusal(413, 'too-large', `a request has at most ${bytesMax} bytes`);
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...SAFE_HEADERS, ...headers, 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

function refuse(response: ServerResponse, error: unknown, logger: Logger): void {
  if (!(error instanceof HttpRefusal)) logger.error({ err: error }, 'request failed');
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const { status, code, message, details, headers } =
    error instanceof HttpRefusal ? error : new HttpRefusal(500, 'internal', 'it could not be done, see the log');
  send(response, status, { error: { code, message, details: [...details] } } satisfies ApiErrorBody, headers);
}
