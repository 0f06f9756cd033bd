export type RenewalRefusedCode =
  /** The client certificate is not one of a node's, or has expired too long ago. */
  | 'certificate-refused'
  | 'node-revoked'
  | 'csr-invalid'
  /** The key is another's or an earlier one: only a new one helps. */
  | 'key-refused'
  /** The node has many certificates that have not expired. */
  | 'too-many';

export const NODE_REVOKED = 'this node is revoked: it has to be readmitted, and enrolled again';

/** Why a certificate was not renewed. The message is sent to the node, for its operator: it must not tell of other nodes. */
export class RenewalRefused extends Error {
  override readonly name = 'RenewalRefused';
  readonly code: RenewalRefusedCode;
  /** When it may be asked again, where that is known. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: RenewalRefusedCode,
    message: string,
    { retryAfterSeconds, ...options }: ErrorOptions & { readonly retryAfterSeconds?: number } = {},
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
