import type { X509Certificate } from 'node:crypto';
import {
  checkChain,
  checkCurrent,
  checkIssued,
  parseCoordinatorUrl,
  post,
  readCertificate,
  refusalIn,
  withinTime,
  type Answer,
} from './coordinator-exchange.ts';
import { verifyCsr } from './csr.ts';
import { enrolmentReplySchema, type EnrolmentReply, type EnrolmentRequest } from './enrolment.ts';
import { IdentityError } from './identity-error.ts';
import { connectPinned } from './pinned-tls.ts';
import { spkiSha256 } from './spki.ts';
import { parseToken } from './token.ts';

const TIMEOUT_MS_DEFAULT = 30_000;

export interface EnrollOptions {
  /** `https://HOST[:PORT]` of the coordinator's TLS port. */
  readonly coordinatorUrl: string;
  /** As the operator pasted it. */
  readonly token: string;
  /** What this node is called in the mesh spec; a token that is for a group needs it. */
  readonly node?: string;
  /** PEM, of `createCsr`. A retry after a lost reply must come with the same keys. */
  readonly channelCsr: string;
  /** Left out where the operator places the node's IKE certificate. */
  readonly ikeCsr?: string;
  /** This machine's wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** For everything together; 30 s by default. */
  readonly timeoutMs?: number;
}

/**
 * Exchanges a token for the node's certificates. The token's secret is sent only to a server that the token's pin
 * vouches for, and the reply is checked before it is returned: the CA is the pinned one, and there is a certificate for each
 * CSR, issued by it for the CSR's key and valid now by this machine's clock. Nothing is stored here.
 * @throws IdentityError
 */
export async function enroll(options: EnrollOptions): Promise<EnrolmentReply> {
  const { host, port } = parseCoordinatorUrl(options.coordinatorUrl);
  const { secret, caPin } = parseToken(options.token);
  const { channelCsr, ikeCsr } = options;
  const csrs = { channelCsr, ...(ikeCsr !== undefined && { ikeCsr }) };
  const keys = { channel: await keyOf(channelCsr), ike: ikeCsr === undefined ? undefined : await keyOf(ikeCsr) };
  const { signal, timeoutMs = TIMEOUT_MS_DEFAULT } = options;
  return withinTime({ where: `${host}:${port}`, signal, timeoutMs }, async (within) => {
    const socket = await connectPinned({ host, port, caPin }, within);
    const name = options.node === undefined ? {} : { node: options.node };
    const request: EnrolmentRequest = { secret, ...name, ...csrs };
    const answer = await post(socket, { host, path: '/v1/enroll' }, request, within);
    return readReply(answer, { caPin, keys, nowMs: options.nowMs });
  });
}

interface Expected {
  readonly caPin: string;
  /** Hex SHA-256 of the public keys that the certificates must be for; undefined where none was asked for. */
  readonly keys: { readonly channel: string; readonly ike: string | undefined };
  readonly nowMs: number;
}

function readReply(answer: Answer, { caPin, keys, nowMs }: Expected): EnrolmentReply {
  if (answer.status !== 200) throw refusalOf(answer);
  const parsed = enrolmentReplySchema.safeParse(answer.json);
  if (!parsed.success)
    throw new IdentityError('bad-reply', 'the reply is not one to an enrolment', { cause: parsed.error });
  const { ca, chain = '', channelCertificate, ikeCertificate } = parsed.data;
  const issuer = readCertificate(ca);
  if (spkiSha256(issuer.publicKey) !== caPin) {
    throw new IdentityError('wrong-ca', 'the reply brings another CA than the one that the token names');
  }
  checkChain(issuer, chain);
  checkGiven(channelCertificate, keys.channel, issuer, nowMs);
  checkGiven(ikeCertificate, keys.ike, issuer, nowMs);
  return parsed.data;
}

/** Checks the certificate for a key that one was asked for; none is right where none was. */
function checkGiven(pem: string | undefined, key: string | undefined, issuer: X509Certificate, nowMs: number): void {
  if (pem === undefined && key === undefined) return;
  if (pem === undefined || key === undefined) {
    throw new IdentityError('bad-reply', 'the reply brings other certificates than were asked for');
  }
  const certificate = readCertificate(pem);
  checkIssued(certificate, issuer, key);
  checkCurrent(certificate, nowMs);
}

async function keyOf(csr: string): Promise<string> {
  return (await verifyCsr(csr)).spkiSha256;
}

function refusalOf(answer: Answer): IdentityError {
  const { code, message } = refusalIn(answer);
  if (code === 'key-refused') {
    return new IdentityError('keys-refused', `${message}; run the same command again, it makes new ones`);
  }
  return code.startsWith('token-')
    ? new IdentityError('token-refused', `${message}; ask for a new token for this node`)
    : new IdentityError('enrolment-refused', message);
}
