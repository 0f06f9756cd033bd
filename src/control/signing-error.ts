export type SigningErrorCode =
  /** Not an Ed25519 key in PEM. */
  | 'bad-key'
  /** There is no signature. */
  | 'unsigned'
  /** Signed with a key that is not trusted here. */
  | 'unknown-key'
  /** Signed text and signature do not belong together. */
  | 'bad-signature'
  /** Signed, and yet not understood: by a later version, or of another kind. */
  | 'not-understood';

/** A statement that must not be believed, or a key that cannot be used. The message is for people. */
export class SigningError extends Error {
  override readonly name = 'SigningError';
  readonly code: SigningErrorCode;

  constructor(code: SigningErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
