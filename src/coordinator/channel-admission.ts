import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { spkiSha256 } from '../identity/spki.ts';
import type { NodeName } from '../ike/connection.ts';
import type { ChannelHost } from './channel-host.ts';
import { remoteOf } from './channel-remote.ts';

/** The client certificate of a node that was let in. */
export interface ClientCertificate {
  /** Hex SHA-256 of its key's SPKI. */
  readonly key: string;
  /** Ms that it was still good for when the node was let in, by the wall clock of that moment. */
  readonly validForMs: number;
}

/** Whether a peer may come in as a node. `status` is the HTTP status that a refused upgrade is answered with. */
export type Admission =
  | { readonly ok: true; readonly node: NodeName; readonly certificate: ClientCertificate }
  | { readonly ok: false; readonly status: 401 | 403 | 410; readonly reason: string; readonly node?: NodeName };

/** The status of a certificate that is good as such, and no node's. */
const UNKNOWN = 403;

/** What decides of the coordinator's core. */
type Knowledge = Pick<ChannelHost, 'nodeOfChannelKey' | 'revokedNodeOf' | 'adoptForgotten'>;

/**
 * Decides on a control channel by the client certificate: issued by the mesh's CA and valid now (401), and with a key that
 * belongs to a node (403) and was not revoked (410). The names in the certificate do not count, so a node that was
 * enrolled again is not confused with its old self; nor do its bytes, of which the signature can be written in more than
 * one way. Only of a key that nobody knows does the host look at the whole certificate: a restore may have forgotten it.
 * `issuer`: the mesh's CA, when TLS has also to trust the root above it.
 */
export function admit(socket: TLSSocket, host: Knowledge, issuer?: X509Certificate): Admission {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { ok: false, status: 401, reason: 'no client certificate' };
  // A resumed session would carry an old verdict; there are none, see tls-options.ts.
  if (!socket.authorized || socket.isSessionReused()) return refused(socket);
  if (issuer !== undefined && !isIssuedBy(certificate, issuer)) {
    return { ok: false, status: 401, reason: 'client certificate of another CA of the same root' };
  }
  const admission = admitKeyOf(certificate, host);
  if (admission.ok || admission.status !== UNKNOWN) return admission;
  const node = host.adoptForgotten(certificate, remoteOf({ socket }));
  return node === undefined ? admission : admitted(node, certificate);
}

/**
 * Decides on a renewal: as on a control channel, but the certificate may have expired. OpenSSL goes on after an error and
 * tells the last one only, so behind "expired" may be another CA, another usage or a wrong signature. Therefore an expired
 * certificate counts only if it is one that this node was given.
 */
export function admitRenewal(
  socket: TLSSocket,
  host: Knowledge & Pick<ChannelHost, 'mayRenewExpired'>,
  issuer?: X509Certificate,
): Admission {
  const certificate = socket.getPeerX509Certificate();
  const hasExpired = String(socket.authorizationError) === 'CERT_HAS_EXPIRED';
  if (certificate === undefined || socket.isSessionReused() || !hasExpired) return admit(socket, host, issuer);
  const admission = admitKeyOf(certificate, host);
  return !admission.ok || host.mayRenewExpired(admission.node, certificate) ? admission : refused(socket);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function refused({ authorizationError }: TLSSocket): Admission {
  return { ok: false, status: 401, reason: `client certificate refused: ${String(authorizationError)}` };
}

function admitKeyOf(certificate: X509Certificate, host: Knowledge): Admission {
  const key = spkiSha256(certificate.publicKey);
  const node = host.nodeOfChannelKey(key);
  if (node !== undefined) return admitted(node, certificate);
  const revoked = host.revokedNodeOf(key);
  if (revoked !== undefined) return { ok: false, status: 410, reason: 'revoked', node: revoked };
  return { ok: false, status: UNKNOWN, reason: 'unknown channel key' };
}

function admitted(node: NodeName, certificate: X509Certificate): Admission {
  // The clock that OpenSSL has just looked at.
  const validForMs = Date.parse(certificate.validTo) - Date.now();
  return { ok: true, node, certificate: { key: spkiSha256(certificate.publicKey), validForMs } };
}
