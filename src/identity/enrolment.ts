import { z } from 'zod';

/** The exchange at `POST /v1/enroll` of the coordinator's TLS port: a token and a CSR for each certificate that the node needs. */

const pem = z.string().max(16_384);
const signingKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

export const enrolmentRequestSchema = z.strictObject({
  /** The token's secret part, base64url. */
  secret: z.string().max(128),
  /** What the node is called in the mesh spec; a token that is for a group needs it. */
  node: z.string().max(63).exactOptional(),
  /** PEM CSRs: their key and proof of possession count, their names do not (the coordinator's record decides). */
  channelCsr: pem,
  /** Absent where the operator places the node's IKE certificate. */
  ikeCsr: pem.exactOptional(),
});
export type EnrolmentRequest = Readonly<z.output<typeof enrolmentRequestSchema>>;

export const enrolmentReplySchema = z.object({
  node: z.string().max(63),
  mesh: z.string().max(63),
  /** PEM of the mesh CA; the caller compares its public key with the token's pin before it trusts any of this. */
  ca: pem,
  /** PEM of the CAs above it, up to the root; absent when it is a root. */
  chain: pem.exactOptional(),
  channelCertificate: pem,
  /** Absent when none was asked for. */
  ikeCertificate: pem.exactOptional(),
  /** Ed25519 public keys (32 bytes in base64url) that sign this mesh's desired states, the newest first. */
  signingKeys: z.array(signingKey).min(1).max(2),
});
export type EnrolmentReply = Readonly<z.output<typeof enrolmentReplySchema>>;
