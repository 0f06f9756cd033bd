import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { messageOf } from '../errors.ts';
import { IdentityError } from './identity-error.ts';
import { spkiSha256 } from './spki.ts';

/** `id-kp-serverAuth`. A node's own certificates lack it, so that no node can pose as the coordinator. */
const SERVER_USAGE = '1.3.6.1.5.5.7.3.1';

export interface PinnedServer {
  /** Address or host name; must be in the server's certificate. */
  readonly host: string;
  readonly port: number;
  /** Hex SHA-256 of the public key of the CA that must have issued that certificate. */
  readonly caPin: string;
}

/**
 * Connects with TLS 1.3 to a server of which only its CA's key hash is known; no public CA counts. Resolves once the
 * server has proved all of: a CA with that key, a certificate of that CA that is valid now and made for servers, and
 * this host in it. Nothing is sent before that. The socket is the caller's to destroy.
 * @throws IdentityError `coordinator-unreachable` (also when the signal aborts) or `wrong-ca`
 */
export async function connectPinned(server: PinnedServer, signal: AbortSignal): Promise<TLSSocket> {
  const { host, port } = server;
  const socket = connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    // Node can check the chain only against a CA that it was given; this one comes with the handshake: see problemOf.
    rejectUnauthorized: false,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  try {
    await once(socket, 'secureConnect', { signal });
  } catch (error) {
    socket.destroy();
    throw new IdentityError('coordinator-unreachable', `${host}:${port}: ${messageOf(error)}`, { cause: error });
  }
  const problem = problemOf(socket.getPeerX509Certificate(), server);
  if (problem === undefined) return socket;
  socket.destroy();
  throw new IdentityError('wrong-ca', `${host}:${port}: ${problem}`);
}

/** TLS itself has proved that the server holds the certificate's key; the rest is looked at here. */
function problemOf(leaf: X509Certificate | undefined, { host, caPin }: PinnedServer): string | undefined {
  if (leaf === undefined) return 'the server has no certificate';
  const ca = leaf.issuerCertificate;
  if (ca === undefined) return "the server does not send its CA's certificate";
  if (spkiSha256(ca.publicKey) !== caPin) {
    return "its certificate is not of the token's mesh: check the URL, and that the token is from this coordinator";
  }
  if (!ca.ca || !leaf.checkIssued(ca) || !leaf.verify(ca.publicKey))
    return "the mesh's CA has not issued its certificate";
  if (!leaf.keyUsage?.includes(SERVER_USAGE)) return 'its certificate is not one for a coordinator';
  if (!isCurrent(leaf) || !isCurrent(ca)) {
    return `its certificate is valid from ${leaf.validFrom} to ${leaf.validTo}: check this machine's clock`;
  }
  const named = isIP(host) === 0 ? leaf.checkHost(host, { subject: 'never' }) : leaf.checkIP(host);
  if (named === undefined) return `its certificate is for ${leaf.subjectAltName ?? 'no host'}: use one of these names`;
  return undefined;
}

function isCurrent({ validFrom, validTo }: X509Certificate): boolean {
  const nowMs = Date.now();
  return Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);
}
