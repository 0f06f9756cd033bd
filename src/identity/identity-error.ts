export type IdentityErrorCode =
  /** A subject, mesh, node or host name that no certificate can carry. */
  | 'bad-name'
  /** A private key that cannot be read or is of a kind that is not used here. */
  | 'bad-key'
  | 'bad-csr'
  /** A list of revoked certificates that cannot be read, or that the mesh's CA has not signed. */
  | 'bad-crl'
  /** A CA of the operator's that cannot be a mesh's. */
  | 'bad-ca'
  | 'bad-token'
  /** The coordinator's URL cannot be used. */
  | 'bad-url'
  | 'coordinator-unreachable'
  /** What answered does not prove that it belongs to the token's mesh; it has not seen the token's secret. */
  | 'wrong-ca'
  /** Unknown, used or expired: only a new token helps. */
  | 'token-refused'
  /** The coordinator accepts one of the keys no more, or not from this node: only new ones help. */
  | 'keys-refused'
  /** Refused for another reason; the message is the coordinator's. */
  | 'enrolment-refused'
  /** The coordinator takes this certificate for none of a node of its: unknown, revoked, or expired too long ago. */
  | 'not-recognised'
  /** A renewal was refused for another reason; the message is the coordinator's. */
  | 'renewal-refused'
  /** A certificate is not valid by this machine's clock. */
  | 'bad-clock'
  | 'bad-reply'
  | 'aborted';

/** Everything that keys, certificates, tokens, enrolment and renewal can fail with. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityErrorCode;
  /** When the coordinator may be asked again, where it has said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: IdentityErrorCode,
    message: string,
    { retryAfterMs, ...options }: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}
