import { X509Certificate } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { verifyCsr } from './csr.ts';
import { enrolmentReplySchema, type EnrolmentReply, type EnrolmentRequest } from './enrolment.ts';
import { IdentityError } from './identity-error.ts';
import { connectPinned } from './pinned-tls.ts';
import { spkiSha256 } from './spki.ts';
import { parseToken } from './token.ts';

const PORT_DEFAULT = 443;
const TIMEOUT_MS_DEFAULT = 30_000;
/** Three certificates of at most 16 KiB, and room for JSON. */
const REPLY_BYTES_MAX = 64 * 1024;
const MESSAGE_LENGTH_MAX = 300;

/** The coordinator's refusal, as its enrolment endpoint writes it. */
const refusalSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export interface EnrollOptions {
  /** `https://HOST[:PORT]` of the coordinator's TLS port. */
  readonly coordinatorUrl: string;
  /** As the operator pasted it. */
  readonly token: string;
  /** What this node is called in the mesh spec; a token that is for a group needs it. */
  readonly node?: string;
  /** PEM, of `createCsr`. A retry after a lost reply must come with the same two keys. */
  readonly channelCsr: string;
  readonly ikeCsr: string;
  readonly signal: AbortSignal;
  /** For everything together; 30 s by default. */
  readonly timeoutMs?: number;
}

/**
 * Exchanges a token for the node's certificates. The token's secret is sent only to a server that the token's pin
 * vouches for, and the reply is checked before it is returned: the CA is the pinned one, and both certificates are
 * issued by it for the keys of the two CSRs. Nothing is stored here.
 * @throws IdentityError
 */
export async function enroll(options: EnrollOptions): Promise<EnrolmentReply> {
  const { host, port } = parseCoordinatorUrl(options.coordinatorUrl);
  const { secret, caPin } = parseToken(options.token);
  const { channelCsr, ikeCsr } = options;
  const keys = { channel: (await verifyCsr(channelCsr)).spkiSha256, ike: (await verifyCsr(ikeCsr)).spkiSha256 };
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  try {
    const socket = await connectPinned({ host, port, caPin }, signal);
    const request = { secret, ...(options.node !== undefined && { node: options.node }), channelCsr, ikeCsr };
    const answer = await post(socket, host, request, signal);
    return readReply(answer, caPin, keys);
  } catch (error) {
    if (options.signal.aborted) throw new IdentityError('aborted', 'enrolment was stopped', { cause: error });
    if (deadline.aborted) {
      const message = `${host}:${port} did not answer within ${timeoutMs / 1000} s`;
      throw new IdentityError('coordinator-unreachable', message, { cause: error });
    }
    throw error;
  }
}

function parseCoordinatorUrl(text: string): { readonly host: string; readonly port: number } {
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

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One HTTP exchange over a socket that is already trusted; the socket ends with it. */
async function post(socket: TLSSocket, host: string, body: EnrolmentRequest, signal: AbortSignal): Promise<Answer> {
  const text = JSON.stringify(body);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest({
        // HTTP as such: the TLS is in the socket.
        createConnection: () => socket,
        host,
        method: 'POST',
        path: '/v1/enroll',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), connection: 'close' },
        signal,
      })
        .on('response', resolve)
        .on('error', reject)
        .end(text);
    });
    return { status: response.statusCode ?? 0, text: await readBounded(response) };
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

/** Hex SHA-256 of the public keys that the certificates must be for. */
interface ExpectedKeys {
  readonly channel: string;
  readonly ike: string;
}

function readReply({ status, text }: Answer, caPin: string, keys: ExpectedKeys): EnrolmentReply {
  const json = parseJson(text);
  if (status !== 200) throw refusalOf(status, json);
  const parsed = enrolmentReplySchema.safeParse(json);
  if (!parsed.success)
    throw new IdentityError('bad-reply', 'the reply is not one to an enrolment', { cause: parsed.error });
  const { ca, channelCertificate, ikeCertificate } = parsed.data;
  const issuer = readCertificate(ca);
  if (spkiSha256(issuer.publicKey) !== caPin) {
    throw new IdentityError('wrong-ca', 'the reply brings another CA than the one that the token names');
  }
  checkIssued(readCertificate(channelCertificate), issuer, keys.channel);
  checkIssued(readCertificate(ikeCertificate), issuer, keys.ike);
  return parsed.data;
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

function refusalOf(status: number, json: unknown): IdentityError {
  const parsed = refusalSchema.safeParse(json);
  if (!parsed.success) return new IdentityError('bad-reply', `the coordinator answered with HTTP status ${status}`);
  const { code, message } = parsed.data.error;
  const said = message.replaceAll(/\p{Cc}/gu, ' ').slice(0, MESSAGE_LENGTH_MAX);
  if (code === 'key-refused') {
    return new IdentityError('keys-refused', `${said}; run the same command again, it makes new ones`);
  }
  return code.startsWith('token-')
    ? new IdentityError('token-refused', `${said}; ask for a new token for this node`)
    : new IdentityError('enrolment-refused', said);
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new IdentityError('bad-reply', 'a certificate in the reply cannot be read', { cause: error });
  }
}

function checkIssued(certificate: X509Certificate, issuer: X509Certificate, expectedKey: string): void {
  if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
    throw new IdentityError('bad-reply', "a certificate in the reply is not issued by the mesh's CA");
  }
  if (spkiSha256(certificate.publicKey) !== expectedKey) {
    throw new IdentityError('bad-reply', 'a certificate in the reply is for another key than the one asked for');
  }
}
