import { request, type IncomingMessage, type RequestOptions } from 'node:http';
import type { z } from 'zod';
import { apiErrorSchema } from '../api-error.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { CliError } from './cli-error.ts';
import { dialRemote, type RemoteApi } from './remote-api.ts';

/** More than any reply of a mesh within the limits; above it the other end is not what we think it is. */
const REPLY_BYTES_MAX = 64 * 1024 * 1024;
/** Of one line of a stream. */
const LINE_CHARACTERS_MAX = 4 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

export type LocalApiOptions = ServiceOptions & (SocketOptions | { readonly remote: RemoteApi });

interface SocketOptions {
  readonly socketPath: string;
  /** Another socket that answers what only reads; tried when the first may not be opened. */
  readonly readSocketPath?: string;
}

interface ServiceOptions {
  /** Name of the systemd service behind the socket, for the user who has to start it. */
  readonly service: string;
  /** Milliseconds without a byte before the call is given up; default 10,000. A stream may be silent once it began. */
  readonly timeoutMs?: number;
}

export interface RequestBody {
  readonly contentType: string;
  readonly text: string;
}

export function jsonBody(value: unknown): RequestBody {
  return { contentType: 'application/json', text: JSON.stringify(value) };
}

/** What a request is sent through. Node takes a connection that is given to it only where it has no agent. */
type Way = Pick<RequestOptions, 'agent' | 'socketPath' | 'createConnection' | 'host' | 'port'> & {
  readonly headers?: Readonly<Record<string, string>>;
};

/**
 * Client of the HTTP API that the agent or the coordinator offers on a Unix socket, or the coordinator to other machines.
 * Every failure is a CliError.
 */
export class LocalApi {
  readonly #options: LocalApiOptions;

  constructor(options: LocalApiOptions) {
    this.#options = options;
  }

  get<T>(path: string, reply: z.ZodType<T>): Promise<T> {
    return this.send('GET', path, reply);
  }

  /** One request, one JSON reply that fits the schema. A refusal by the service becomes a CliError with its words. */
  async send<T>(method: string, path: string, reply: z.ZodType<T>, body?: RequestBody): Promise<T> {
    const response = await this.#open(method, path, body);
    const text = await this.#textOf(response);
    return this.#parse(text, reply);
  }

  /** The items of an NDJSON reply, one by one as they come; ends with the service's stream or when `signal` aborts. */
  async *stream<T>(path: string, item: z.ZodType<T>, signal?: AbortSignal): AsyncGenerator<T, void, undefined> {
    const response = await this.#open('GET', path, undefined, signal);
    response.socket.setTimeout(0);
    try {
      for await (const line of linesOf(response)) yield this.#parse(line, item);
    } catch (error) {
      if (signal?.aborted === true) return;
      throw this.#failure(error);
    } finally {
      response.destroy();
    }
  }

  /** The bytes of a reply that is no JSON, as they come. One that breaks off ends with a CliError. */
  async *download(path: string): AsyncGenerator<Uint8Array, void, undefined> {
    const response = await this.#open('GET', path);
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) yield chunk;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      response.destroy();
    }
  }

  async #open(method: string, path: string, body?: RequestBody, signal?: AbortSignal): Promise<IncomingMessage> {
    const response = await this.#sendAny(method, path, body, signal).catch((error: unknown) => {
      throw this.#failure(error);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw this.#refusal(status, await this.#textOf(response));
  }

  async #sendAny(method: string, path: string, body?: RequestBody, signal?: AbortSignal): Promise<IncomingMessage> {
    const options = this.#options;
    if ('remote' in options)
      return await this.#send(await this.#dial(options.remote, signal), method, path, body, signal);
    const { socketPath, readSocketPath } = options;
    try {
      return await this.#send({ socketPath, agent: false }, method, path, body, signal);
    } catch (error) {
      if (method !== 'GET' || readSocketPath === undefined || !isForbidden(error)) throw error;
      // When that one is not there either, the first one is what to tell of.
      return await this.#send({ socketPath: readSocketPath, agent: false }, method, path, body, signal).catch(
        (second: unknown) => {
          throw systemCodeOf(second) === 'ENOENT' ? error : second;
        },
      );
    }
  }

  async #dial(remote: RemoteApi, signal?: AbortSignal): Promise<Way> {
    const { host, port, token } = remote;
    const deadline = AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS);
    const socket = await dialRemote(remote, AbortSignal.any([deadline, ...(signal === undefined ? [] : [signal])]));
    // HTTP as such: the TLS is in the socket.
    return { createConnection: () => socket, host, port, headers: { authorization: `Bearer ${token}` } };
  }

  #send(way: Way, method: string, path: string, body?: RequestBody, signal?: AbortSignal): Promise<IncomingMessage> {
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    const headers = { ...way.headers, ...(body !== undefined && { 'content-type': body.contentType }) };
    return new Promise((resolve, reject) => {
      const outgoing = request({ ...way, method, path, headers, ...(signal && { signal }) }, resolve);
      outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error(`no answer for ${timeoutMs} ms`)));
      outgoing.on('error', reject);
      outgoing.end(body?.text);
    });
  }

  /** Where the service is, for people. */
  get #place(): string {
    const options = this.#options;
    return 'remote' in options ? `${options.remote.host}:${options.remote.port}` : options.socketPath;
  }

  async #textOf(response: IncomingMessage): Promise<string> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response as AsyncIterable<Uint8Array>) {
        bytes += chunk.byteLength;
        if (bytes > REPLY_BYTES_MAX) throw new Error(`the reply is longer than ${REPLY_BYTES_MAX} bytes`);
        chunks.push(chunk);
      }
    } catch (error) {
      throw this.#failure(error);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  #parse<T>(text: string, schema: z.ZodType<T>): T {
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw this.#notUnderstood(cause);
    }
  }

  #refusal(status: number, text: string): CliError {
    try {
      const { error } = apiErrorSchema.parse(JSON.parse(text));
      return new CliError(status === 400 ? 'bad-input' : 'refused', error.message, { details: error.details });
    } catch (cause) {
      return this.#notUnderstood(cause);
    }
  }

  #notUnderstood(cause: unknown): CliError {
    const { service } = this.#options;
    const message = `${service} at ${this.#place} answered something this program does not understand; are both of one version?`;
    return new CliError('not-understood', message, { cause });
  }

  #failure(cause: unknown): CliError {
    if (cause instanceof CliError) return cause;
    const { service } = this.#options;
    if ('remote' in this.#options) return new CliError('no-answer', `${service}: ${messageOf(cause)}`, { cause });
    const { socketPath } = this.#options;
    const code = systemCodeOf(cause);
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      return new CliError('not-running', `${service} is not running: nothing listens on ${socketPath}`, {
        cause,
        details: [`see: systemctl status ${service}`],
      });
    }
    if (isForbidden(cause)) {
      return new CliError('no-permission', `no permission for ${socketPath}: run this as root`, { cause });
    }
    const reason =
      code === 'ECONNRESET' || code === 'EPIPE' ? 'it hung up before it had answered in full' : messageOf(cause);
    return new CliError('no-answer', `${service} at ${socketPath}: ${reason}`, { cause });
  }
}

function isForbidden(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'EACCES' || code === 'EPERM';
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, void, undefined> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_CHARACTERS_MAX) throw new Error(`a line is longer than ${LINE_CHARACTERS_MAX} characters`);
    for (const line of lines) if (line !== '') yield line;
  }
}
