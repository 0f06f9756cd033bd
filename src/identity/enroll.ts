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
  /** PEM, of `createCsr`. A retry after a lost reply must come with the same two keys. */
  readonly channelCsr: string;
  readonly ikeCsr: string;
  /** This machine's wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** For everything together; 30 s by default. */
  readonly timeoutMs?: number;
}

/**
 * Exchanges a token for the node's certificates. The token's secret is sent only to a server that the token's pin
 * vouches for, and the reply is checked before it is returned: the CA is the pinned one, and both certificates are
 * issued by it for the keys of the two CSRs and valid now by this machine's clock. Nothing is stored here.
 * @throws IdentityError
 */
export async function enroll(options: EnrollOptions): Promise<EnrolmentReply> {
  const { host, port } = parseCoordinatorUrl(options.coordinatorUrl);
  const { secret, caPin } = parseToken(options.token);
  const { channelCsr, ikeCsr } = options;
  const keys = { channel: (await verifyCsr(channelCsr)).spkiSha256, ike: (await verifyCsr(ikeCsr)).spkiSha256 };
  const { signal, timeoutMs = TIMEOUT_MS_DEFAULT } = options;
  return withinTime({ where: `${host}:${port}`, signal, timeoutMs }, async (within) => {
    const socket = await connectPinned({ host, port, caPin }, within);
    const name = options.node === undefined ? {} : { node: options.node };
    const request: EnrolmentRequest = { secret, ...name, channelCsr, ikeCsr };
    const answer = await post(socket, { host, path: '/v1/enroll' }, request, within);
    return readReply(answer, { caPin, keys, nowMs: options.nowMs });
  });
}

interface Expected {
  readonly caPin: string;
  /** Hex SHA-256 of the public keys that the certificates must be for. */
  readonly keys: { readonly channel: string; readonly ike: string };
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
  const [channel, ike] = [readCertificate(channelCertificate), readCertificate(ikeCertificate)];
  checkIssued(channel, issuer, keys.channel);
  checkIssued(ike, issuer, keys.ike);
  for (const certificate of [channel, ike]) checkCurrent(certificate, nowMs);
  return parsed.data;
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
