import type { TLSSocket } from 'node:tls';
import { spkiSha256 } from '../identity/spki.ts';
import type { NodeName } from '../ike/connection.ts';
import type { ChannelHost } from './channel-host.ts';

/** Whether a peer may open a control channel. `status` is the HTTP status that a refused upgrade is answered with. */
export type Admission =
  | { readonly ok: true; readonly node: NodeName }
  | { readonly ok: false; readonly status: 401 | 403 | 410; readonly reason: string; readonly node?: NodeName };

/**
 * Decides by the client certificate: issued by the mesh's CA and valid now (401), and with a key that belongs to a node
 * (403) and was not revoked (410). The names in the certificate do not count, so a node that was enrolled again is not
 * confused with its old self; nor do its bytes, of which the signature can be written in more than one way.
 */
export function admit(socket: TLSSocket, host: Pick<ChannelHost, 'nodeOfChannelKey' | 'revokedNodeOf'>): Admission {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { ok: false, status: 401, reason: 'no client certificate' };
  // A resumed session would carry an old verdict; there are none, see tls-options.ts.
  if (!socket.authorized || socket.isSessionReused()) {
    return { ok: false, status: 401, reason: `client certificate refused: ${String(socket.authorizationError)}` };
  }
  const key = spkiSha256(certificate.publicKey);
  const node = host.nodeOfChannelKey(key);
  if (node !== undefined) return { ok: true, node };
  const revoked = host.revokedNodeOf(key);
  if (revoked !== undefined) return { ok: false, status: 410, reason: 'revoked', node: revoked };
  return { ok: false, status: 403, reason: 'unknown channel key' };
}
