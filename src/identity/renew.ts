import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
import {
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
import { IdentityError } from './identity-error.ts';
import { renewalReplySchema, type CertificatePurpose, type RenewalRequest } from './renewal.ts';

export interface RenewOptions {
  readonly coordinatorUrl: string;
  /** PEM: the mesh CA, which the coordinator's certificate and the new one must be of. */
  readonly ca: string;
  /** PEM: what the node shows itself with; the certificate may have expired. */
  readonly channel: { readonly key: string; readonly certificate: string };
  readonly purpose: CertificatePurpose;
  /** PEM, of `createCsr`. A retry after a lost reply must come with the same key. */
  readonly csr: string;
  /** This machine's wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** For everything together. */
  readonly timeoutMs: number;
}

/**
 * Asks the coordinator for the node's next certificate, and checks it: issued by the mesh's CA for the key of the CSR, and
 * valid now by this machine's clock. Nothing is stored here.
 * @throws IdentityError
 */
export async function renew(options: RenewOptions): Promise<string> {
  const { host, port } = parseCoordinatorUrl(options.coordinatorUrl);
  const { ca, channel, purpose, csr, nowMs, signal, timeoutMs } = options;
  const { spkiSha256: key } = await verifyCsr(csr);
  return withinTime({ where: `${host}:${port}`, signal, timeoutMs }, async (within) => {
    const socket = await connectAs(channel, { host, port, ca }, within);
    const request: RenewalRequest = { purpose, csr };
    const answer = await post(socket, { host, path: '/v1/renew' }, request, within);
    const certificate = readReply(answer);
    checkIssued(readCertificate(certificate), new X509Certificate(ca), key);
    checkCurrent(readCertificate(certificate), nowMs);
    return certificate;
  });
}

interface Coordinator {
  readonly host: string;
  readonly port: number;
  readonly ca: string;
}

/** A connection to a coordinator that has a certificate of this CA for its host. */
async function connectAs(
  { key, certificate }: RenewOptions['channel'],
  { host, port, ca }: Coordinator,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = connect({
    host,
    port,
    ca,
    // As it is, also when another CA has issued it.
    allowPartialTrustChain: true,
    key,
    cert: certificate,
    minVersion: 'TLSv1.3',
    ...name,
  });
  try {
    await once(socket, 'secureConnect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw new IdentityError('coordinator-unreachable', `${host}:${port}: ${messageOf(error)}`, { cause: error });
  }
}

function readReply(answer: Answer): string {
  if (answer.status !== 200) throw refusalOf(answer);
  const parsed = renewalReplySchema.safeParse(answer.json);
  if (parsed.success) return parsed.data.certificate;
  throw new IdentityError('bad-reply', 'the reply is not one to a renewal', { cause: parsed.error });
}

function refusalOf(answer: Answer): IdentityError {
  const { code, message, retryAfterSeconds } = refusalIn(answer);
  switch (code) {
    case 'key-refused':
      return new IdentityError('keys-refused', message);
    case 'certificate-refused':
    case 'node-revoked':
      return new IdentityError('not-recognised', message);
    default:
      return new IdentityError('renewal-refused', message, {
        ...(retryAfterSeconds !== undefined && { retryAfterMs: retryAfterSeconds * 1000 }),
      });
  }
}
