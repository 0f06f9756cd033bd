export type FrameErrorCode =
  /** More bytes than the limit. */
  | 'too-large'
  /** More values than the limit. */
  | 'too-many-elements'
  /** Maps and arrays nested beyond the limit. */
  | 'too-deep'
  /** Not one complete MessagePack value of the kinds that frames are made of. */
  | 'malformed'
  /** Well-formed, but no frame of this protocol. */
  | 'invalid-frame';

/** A frame that is refused. Nothing of it may be used, and the channel that it came on should be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code: FrameErrorCode;

  constructor(code: FrameErrorCode, message: string, options?: ErrorOptions) {
    super(`[${code}] ${message}`, options);
    this.code = code;
  }
}
