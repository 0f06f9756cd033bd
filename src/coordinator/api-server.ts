import { createServer } from 'node:http';
import { createHttpService } from '../http-service.ts';
import type { Logger } from '../log.ts';
import { listenOnUnixSocket } from '../unix-socket.ts';
import { BODY_BYTES_MAX, dispatch, type Caller } from './api-dispatch.ts';
import { ApiRefused } from './api-refused.ts';
import type { Coordinator } from './coordinator.ts';

const CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 10_000;

/** Whoever may open the socket is root or the coordinator itself; there is nobody to tell apart on it. */
const SOCKET_OWNER: Caller = { role: 'admin', origin: { actor: { kind: 'socket', name: null }, remote: null } };

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
export async function openApiServer({ socketPath, coordinator, logger }: ApiServerOptions): Promise<ApiServer> {
  const service = createHttpService(createServer, {
    bodyBytesMax: BODY_BYTES_MAX,
    connectionsMax: CONNECTIONS_MAX,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    answer: async (exchange) => {
      // No browser can reach a socket: what comes from a web page has been passed on by somebody who should not.
      if (exchange.request.headers.origin !== undefined) throw new ApiRefused('foreign-origin', 'not for web pages');
      return await dispatch(coordinator, SOCKET_OWNER, exchange);
    },
    logger,
  });
  await listenOnUnixSocket(service.server, { path: socketPath, mode: 0o600 });
  return { socketPath, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}
