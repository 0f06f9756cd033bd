import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
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
import { IdentityError } from './identity-error.ts';
import { renewalReplySchema, type CertificatePurpose, type RenewalReply, type RenewalRequest } from './renewal.ts';
import { spkiSha256 } from './spki.ts';

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

/** PEM. */
export interface MeshAuthority {
  readonly ca: string;
  /** The CAs above it, up to the root; absent when it is a root. */
  readonly chain?: string;
}

export interface Renewed {
  /** PEM. */
  readonly certificate: string;
  /** The mesh's CA as the coordinator has it now; undefined when what the node has is as good. */
  readonly authority: MeshAuthority | undefined;
}

/**
 * Asks the coordinator for the node's next certificate, and checks it: issued by the mesh's CA for the key of the CSR, and
 * valid now by this machine's clock. Nothing is stored here.
 * @throws IdentityError
 */
export async function renew(options: RenewOptions): Promise<Renewed> {
  const { host, port } = parseCoordinatorUrl(options.coordinatorUrl);
  const { ca, channel, purpose, csr, nowMs, signal, timeoutMs } = options;
  const { spkiSha256: key } = await verifyCsr(csr);
  return withinTime({ where: `${host}:${port}`, signal, timeoutMs }, async (within) => {
    const socket = await connectAs(channel, { host, port, ca }, within);
    const request: RenewalRequest = { purpose, csr };
    const answer = await post(socket, { host, path: '/v1/renew' }, request, within);
    const reply = readReply(answer);
    const { certificate } = reply;
    const authority = authorityOf(reply, new X509Certificate(ca), nowMs);
    checkIssued(readCertificate(certificate), new X509Certificate(authority?.ca ?? ca), key);
    checkCurrent(readCertificate(certificate), nowMs);
    return { certificate, authority };
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

function readReply(answer: Answer): RenewalReply {
  if (answer.status !== 200) throw refusalOf(answer);
  const parsed = renewalReplySchema.safeParse(answer.json);
  if (parsed.success) return parsed.data;
  throw new IdentityError('bad-reply', 'the reply is not one to a renewal', { cause: parsed.error });
}

/** The mesh's CA may have been renewed: then it has the key and the name that it had. An older one takes nobody's place. */
function authorityOf({ ca, chain }: RenewalReply, held: X509Certificate, nowMs: number): MeshAuthority | undefined {
  if (ca === undefined) return undefined;
  const given = readCertificate(ca);
  if (!given.ca || given.subject !== held.subject || spkiSha256(given.publicKey) !== spkiSha256(held.publicKey)) {
    throw new IdentityError('bad-reply', 'the reply brings another CA than that of the mesh');
  }
  checkChain(given, chain ?? '');
  const isUsable = Date.parse(given.validFrom) <= nowMs && Date.parse(given.validTo) >= Date.parse(held.validTo);
  return isUsable ? { ca, ...(chain !== undefined && { chain }) } : undefined;
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
