import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';

export interface TlsIdentity {
  /** PEM. */
  readonly key: string;
  /** PEM: the server's certificate, then the mesh CA's, which a node that enrols sees here for the first time. */
  readonly certificateChain: string;
  /** PEM: the CA that node certificates must be of; no other is trusted. */
  readonly ca: string;
}

/** TLS 1.3 only, and a client certificate for those who have one: a node that enrols has none yet. */
export function tlsOptions({ key, certificateChain, ca }: TlsIdentity): ServerOptions {
  return {
    key,
    cert: certificateChain,
    ca,
    minVersion: 'TLSv1.3',
    requestCert: true,
    // The handshake goes on without a valid certificate; admission looks at the verdict before any channel opens.
    rejectUnauthorized: false,
    // A resumed session comes without the client's certificate, and with the verdict of its first handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
