import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { IdentityError } from './identity-error.ts';
import { certificatesIn } from './operator-ca.ts';
import { spkiSha256 } from './spki.ts';

/** What enrolment and renewal have in common: one HTTP exchange with the coordinator, and certificates in its reply. */

const PORT_DEFAULT = 443;
/** Three certificates of at most 16 KiB, and room for JSON. */
const REPLY_BYTES_MAX = 64 * 1024;
const MESSAGE_LENGTH_MAX = 300;

/** The coordinator's refusal, as its endpoints write it. */
const refusalSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    /** Asking sooner would come to the same. */
    retryAfterSeconds: z.number().min(0).exactOptional(),
  }),
});
type Refusal = Readonly<z.output<typeof refusalSchema>['error']>;

/**
 * Reads `https://HOST[:PORT]`.
 * @throws IdentityError `bad-url`
 */
export function parseCoordinatorUrl(text: string): { readonly host: string; readonly port: number } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The origin and nothing else: a path, a query, a fragment or a user would be lost on the way.
  if (url?.protocol !== 'https:' || `${url.origin}/` !== url.href) {
    throw new IdentityError('bad-url', `"${text}" is not the URL of a coordinator, such as https://203.0.113.1:8443`);
  }
  return {
    // An IPv6 address stands in brackets in a URL only.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? PORT_DEFAULT : Number(url.port),
  };
}

export interface ExchangeLimits {
  /** `HOST:PORT`, for the message. */
  readonly where: string;
  readonly signal: AbortSignal;
  /** For everything together. */
  readonly timeoutMs: number;
}

/**
 * Runs an exchange within its time.
 * @throws IdentityError `aborted` or `coordinator-unreachable` when its signal or the time ends it; else what it throws
 */
export async function withinTime<T>(
  { where, signal, timeoutMs }: ExchangeLimits,
  exchange: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    return await exchange(AbortSignal.any([signal, deadline]));
  } catch (error) {
    if (signal.aborted) throw new IdentityError('aborted', 'it was stopped', { cause: error });
    if (deadline.aborted) {
      const message = `${where} did not answer within ${timeoutMs / 1000} s`;
      throw new IdentityError('coordinator-unreachable', message, { cause: error });
    }
    throw error;
  }
}

/** What the coordinator answered. */
export interface Answer {
  readonly status: number;
  readonly json: unknown;
}

/**
 * Posts JSON over a socket that is already trusted, and reads the answer; the socket ends with it.
 * @throws IdentityError `coordinator-unreachable` or `bad-reply`
 */
export async function post(
  socket: TLSSocket,
  { host, path }: { readonly host: string; readonly path: string },
  body: unknown,
  signal: AbortSignal,
): Promise<Answer> {
  const text = JSON.stringify(body);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest({
        // HTTP as such: the TLS is in the socket.
        createConnection: () => socket,
        host,
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), connection: 'close' },
        signal,
      })
        .on('response', resolve)
        .on('error', reject)
        .end(text);
    });
    return { status: response.statusCode ?? 0, json: parseJson(await readBounded(response)) };
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    throw new IdentityError('coordinator-unreachable', `the connection broke: ${messageOf(error)}`, { cause: error });
  } finally {
    socket.destroy();
  }
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > REPLY_BYTES_MAX)
      throw new IdentityError('bad-reply', `the reply is larger than ${REPLY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new IdentityError('bad-reply', 'the reply is not JSON: is this the TLS port of a coordinator?', {
      cause: error,
    });
  }
}

/** The code and words of an answer that is no success; the words are of one line and not too long. */
export function refusalIn({ status, json }: Answer): Refusal {
  const parsed = refusalSchema.safeParse(json);
  if (!parsed.success) throw new IdentityError('bad-reply', `the coordinator answered with HTTP status ${status}`);
  const { message, ...rest } = parsed.data.error;
  return { ...rest, message: message.replaceAll(/\p{Cc}/gu, ' ').slice(0, MESSAGE_LENGTH_MAX) };
}

/**
 * Reads a certificate of a reply.
 * @throws IdentityError `bad-reply`
 */
export function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new IdentityError('bad-reply', 'a certificate in the reply cannot be read', { cause: error });
  }
}

/**
 * Checks that a certificate of a reply is the CA's, and for the key (hex SHA-256 of it) that was asked for.
 * @throws IdentityError `bad-reply`
 */
export function checkIssued(certificate: X509Certificate, issuer: X509Certificate, expectedKey: string): void {
  if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
    throw new IdentityError('bad-reply', "a certificate in the reply is not issued by the mesh's CA");
  }
  if (spkiSha256(certificate.publicKey) !== expectedKey) {
    throw new IdentityError('bad-reply', 'a certificate in the reply is for another key than the one asked for');
  }
}

/**
 * Checks that a certificate of a reply is valid at `nowMs` (ms since the epoch): with a clock that is wrong here or there, a
 * node would go on with one that does not work.
 * @throws IdentityError `bad-clock`
 */
export function checkCurrent({ validFrom, validTo }: X509Certificate, nowMs: number): void {
  if (Date.parse(validFrom) <= nowMs && nowMs < Date.parse(validTo)) return;
  const nowText = new Date(nowMs).toISOString();
  const message = `the new certificate is valid from ${validFrom} to ${validTo}, and here it is ${nowText}: the clocks of this machine and of the coordinator differ; check the clocks of both`;
  throw new IdentityError('bad-clock', message);
}

/**
 * Checks the CAs above the mesh's, in PEM: charon will be told to trust them, so they have to be that and nothing else.
 * @throws IdentityError `bad-reply`
 */
export function checkChain(ca: X509Certificate, chain: string): void {
  let below = ca;
  for (const above of certificatesIn(chain).map(readCertificate)) {
    if (!below.checkIssued(above) || !below.verify(above.publicKey)) {
      throw new IdentityError('bad-reply', "the reply brings a chain that does not begin with the mesh's CA");
    }
    below = above;
  }
}
