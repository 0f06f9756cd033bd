import { z } from 'zod';

/**
 * The exchange at `POST /v1/renew` of the coordinator's TLS port: a CSR for the next certificate of one kind. Who asks
 * is told by the client certificate of the connection, the node's channel certificate, which may have expired a while ago.
 */

const pem = z.string().max(16_384);

/** The two certificates of a node: for its control channel, and for IKE. */
export const CERTIFICATE_PURPOSES = ['channel', 'ike'] as const;
export type CertificatePurpose = (typeof CERTIFICATE_PURPOSES)[number];

export const renewalRequestSchema = z.strictObject({
  purpose: z.enum(CERTIFICATE_PURPOSES),
  /** PEM, for a new key: proof of possession counts, names do not (the coordinator's record decides). */
  csr: pem,
});
export type RenewalRequest = Readonly<z.output<typeof renewalRequestSchema>>;

export const renewalReplySchema = z.object({
  certificate: pem,
  /** PEM of the mesh CA and of those above it, as they are now: they may have been renewed as well. */
  ca: pem.exactOptional(),
  chain: pem.exactOptional(),
});
export type RenewalReply = Readonly<z.output<typeof renewalReplySchema>>;
