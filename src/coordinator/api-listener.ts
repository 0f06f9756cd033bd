import { constants } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { Clock } from '../clock.ts';
import { createHttpService, type HttpExchange, type HttpService } from '../http-service.ts';
import type { Logger } from '../log.ts';
import { BODY_BYTES_MAX, dispatch, type Caller } from './api-dispatch.ts';
import { ApiRefused } from './api-refused.ts';
import type { ApiTokenRecord } from './api-token-store.ts';
import type { Origin } from './audit-log.ts';
import { remoteOf } from './channel-remote.ts';
import type { Coordinator } from './coordinator.ts';
import { FailureThrottle } from './failure-throttle.ts';
import { Strangers } from './strangers.ts';
import type { TlsIdentity } from './tls-options.ts';

const CONNECTIONS_MAX = 768;
/** Of them without a good token so far: whoever connects and says nothing keeps no operator out. */
const STRANGERS_MAX = 512;
/** From TCP connect to the first byte, and from that to the end of the TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How soon a stream ends whose token is no longer good. */
const STREAM_CHECK_MS = 1000;

export interface ApiListenerOptions {
  /** Address to listen on. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What the server proves to be. */
  readonly identity: TlsIdentity;
  /** The addresses and names that it may be called by: those of its certificate. */
  readonly names: readonly string[];
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Disposal ends every request, streams included. */
export interface ApiListener extends AsyncDisposable {
  readonly port: number;
  /** Shows another certificate from the next handshake on. */
  useIdentity(identity: TlsIdentity): void;
}

/**
 * Serves the operator's API to other machines, over TLS 1.3 and to holders of API tokens only. Rejects with Node's own error
 * when the address cannot be listened on.
 */
export async function openApiListener(options: ApiListenerOptions): Promise<ApiListener> {
  const { identity, logger } = options;
  const throttle = new FailureThrottle(options.clock);
  const service: HttpService<Server> = createHttpService(
    (httpOptions, listener) =>
      createServer(
        {
          ...httpOptions,
          ...secureContext(identity),
          handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        },
        listener,
      ),
    {
      bodyBytesMax: BODY_BYTES_MAX,
      connectionsMax: CONNECTIONS_MAX,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      answer: (exchange) => answer({ ...options, throttle, strangers }, exchange),
      logger,
    },
  );
  const strangers = new Strangers(service.server, {
    strangersMax: STRANGERS_MAX,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  });
  // Anyone can connect and talk nonsense; Node has closed such a connection already.
  service.server.on('tlsClientError', (error) => logger.debug({ err: error }, 'TLS handshake failed'));
  return await listening(service, strangers, options);
}

function secureContext({ key, certificateChain }: TlsIdentity): SecureContextOptions {
  return { key, cert: certificateChain, minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET };
}

async function listening(
  service: HttpService<Server>,
  strangers: Strangers,
  { host, port }: ApiListenerOptions,
): Promise<ApiListener> {
  service.server.listen(port, host);
  await once(service.server, 'listening');
  const { port: found } = service.server.address() as AddressInfo;
  return {
    port: found,
    useIdentity: (identity) => service.server.setSecureContext(secureContext(identity)),
    [Symbol.asyncDispose]: async () => {
      const closed = service[Symbol.asyncDispose]();
      strangers.end();
      await closed;
    },
  };
}

interface Door extends Pick<ApiListenerOptions, 'coordinator' | 'names'> {
  readonly throttle: FailureThrottle;
  readonly strangers: Strangers;
}

/** Who asks is settled before a byte of the body is read. */
async function answer(door: Door, exchange: HttpExchange): Promise<unknown> {
  const { coordinator, throttle } = door;
  const remote = remoteOf(exchange.request);
  const stranger: Origin = { actor: { kind: 'stranger', name: null }, remote };
  const refuse = (refusal: ApiRefused, target: string | null = null): never => {
    const attempt = coordinator.audit.begin('api.use', stranger);
    attempt.about(target);
    attempt.refused(refusal.message);
    throw refusal;
  };
  const foreign = foreignOf(exchange, door.names);
  if (foreign !== undefined) return refuse(foreign);
  const waitMs = throttle.waitMs(remote);
  if (waitMs > 0) return refuse(tooManyFailures(waitMs));
  const checked = coordinator.apiTokens.check(bearerOf(exchange));
  if (!checked.ok) {
    throttle.failed(remote);
    return refuse(unauthorized(checked.reason), checked.name);
  }
  throttle.succeeded(remote);
  door.strangers.known(exchange.request.socket);
  const { token } = checked;
  const caller: Caller = { role: token.role, origin: { actor: { kind: 'api-token', name: token.name }, remote } };
  return await whileGood(coordinator, token, exchange, (bounded) => dispatch(coordinator, caller, bounded));
}

/** A stream must not outlive the token that opened it, nor may a body that comes slowly. */
async function whileGood(
  coordinator: Coordinator,
  token: ApiTokenRecord,
  exchange: HttpExchange,
  work: (exchange: HttpExchange) => Promise<unknown>,
): Promise<unknown> {
  const over = new AbortController();
  const isGood = (): boolean => coordinator.apiTokens.isStillGood(token);
  const timer = setInterval(() => {
    if (!isGood()) over.abort();
  }, STREAM_CHECK_MS);
  const body = async (): Promise<string> => {
    const text = await exchange.body();
    if (!isGood()) throw unauthorized('this API token was revoked, or has expired, while the request was on its way');
    return text;
  };
  try {
    return await work({ ...exchange, body, signal: AbortSignal.any([exchange.signal, over.signal]) });
  } finally {
    clearInterval(timer);
  }
}

/**
 * Another name than ours in `Host` is how a web page reaches an address that its own name has been pointed to; `Origin`
 * says that a web page is at work, and there is none of ours.
 */
function foreignOf({ request }: HttpExchange, names: readonly string[]): ApiRefused | undefined {
  const { host = [], origin = [] } = request.headersDistinct;
  const [own = '', ...more] = host;
  const url = URL.canParse(`https://${own}`) ? new URL(`https://${own}`) : undefined;
  const name = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? '';
  if (more.length > 0 || !names.some((known) => hostNameOf(known) === name)) {
    return new ApiRefused('wrong-host', `call it by one of: ${names.join(', ')}`);
  }
  return origin.every((each) => each === url?.origin)
    ? undefined
    : new ApiRefused('foreign-origin', 'not for web pages of others');
}

/** In the one spelling that URLs have. */
function hostNameOf(name: string): string {
  return new URL(name.includes(':') ? `https://[${name}]` : `https://${name}`).hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Empty when there is none, or more than one. */
function bearerOf({ request }: HttpExchange): string {
  const [authorization = '', ...more] = request.headersDistinct['authorization'] ?? [];
  const [, token = ''] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
  return more.length > 0 ? '' : token;
}

function unauthorized(reason: string): ApiRefused {
  return new ApiRefused('unauthorized', reason, { headers: { 'www-authenticate': 'Bearer' } });
}

function tooManyFailures(waitMs: number): ApiRefused {
  const seconds = Math.ceil(waitMs / 1000);
  const message = 'too many wrong tokens from this address';
  return new ApiRefused('too-many-failures', message, { headers: { 'retry-after': String(seconds) } });
}
