import type { TLSSocket } from 'node:tls';
import { spkiSha256 } from '../identity/spki.ts';
import type { NodeName } from '../ike/connection.ts';
import type { ChannelHost } from './channel-host.ts';

/** Whether a peer may open a control channel. `status` is the HTTP status that a refused upgrade is answered with. */
export type Admission =
  | { readonly ok: true; readonly node: NodeName }
  | { readonly ok: false; readonly status: 401 | 403; readonly reason: string };

/**
 * Decides by the client certificate: issued by the mesh's CA and valid now (401), and with a key that belongs to a node
 * (403). The names in the certificate do not count, so a node that was enrolled again is not confused with its old self.
 */
export function admit(socket: TLSSocket, host: Pick<ChannelHost, 'nodeOfChannelKey'>): Admission {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { ok: false, status: 401, reason: 'no client certificate' };
  // A resumed session would carry an old verdict; there are none, see tls-options.ts.
  if (!socket.authorized || socket.isSessionReused()) {
    return { ok: false, status: 401, reason: `client certificate refused: ${String(socket.authorizationError)}` };
  }
  const node = host.nodeOfChannelKey(spkiSha256(certificate.publicKey));
  return node === undefined ? { ok: false, status: 403, reason: 'unknown channel key' } : { ok: true, node };
}
