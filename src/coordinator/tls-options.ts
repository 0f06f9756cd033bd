import { constants } from 'node:crypto';
import type { ServerOptions } from 'node:https';

export interface TlsIdentity {
  /** PEM. */
  readonly key: string;
  /** PEM: the server's certificate, then the mesh CA's, which a node that enrols sees here for the first time. */
  readonly certificateChain: string;
  /** PEM: the CA that node certificates must be of; no other is trusted. */
  readonly ca: string;
  /** PEM: the CAs above it, up to the root; absent when it is a root. */
  readonly chain?: string;
}

/** TLS 1.3 only, and a client certificate for those who have one: a node that enrols has none yet. */
export function tlsOptions({ key, certificateChain, ca, chain }: TlsIdentity): ServerOptions {
  return {
    key,
    cert: certificateChain,
    // A server of Node 20 cannot trust an intermediate by itself (`allowPartialTrustChain` is for clients only). That a
    // certificate is the mesh CA's own, and no other's of the same root, is looked at by admission.
    ca: chain === undefined ? ca : [ca, chain],
    minVersion: 'TLSv1.3',
    requestCert: true,
    // The handshake goes on without a valid certificate; admission looks at the verdict before any channel opens.
    rejectUnauthorized: false,
    // A resumed session comes without the client's certificate, and with the verdict of its first handshake.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
