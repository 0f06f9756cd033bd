/** Every way in which talking to charon can fail. Callers match these, never text. */
export const VICI_ERROR_CODES = [
  /** The socket cannot be opened: no charon, no permission, or its backlog stayed full. */
  'connect-failed',
  /** The connection ended before the answer: charon stopped, or the session was closed. */
  'connection-closed',
  /** A request above 512 KiB (nothing was sent), or a length from the peer above it. */
  'segment-too-large',
  /** What the peer sent is no VICI, or not the reply that belongs there. */
  'malformed-message',
  /** This charon does not know the command: an older version, or a plugin that is not loaded. */
  'unknown-command',
  /** This charon does not know the event. */
  'unknown-event',
  /** charon understood and said no; `detail` is its own text. */
  'command-failed',
  /** No answer in time. What charon did with the request is unknown. */
  'deadline-passed',
  /** The consumer of a subscription fell behind: events are lost, read the full state again. */
  'events-overflow',
  /** Too many requests wait for their turn, or no place came free in time; this one was not sent. */
  'queue-full',
  /** The request or an option cannot be sent as given; nothing was sent. */
  'invalid-request',
  /** The caller's signal fired. What charon did with the request is unknown. */
  'aborted',
] as const;
/** One of {@link VICI_ERROR_CODES}. */
export type ViciErrorCode = (typeof VICI_ERROR_CODES)[number];

/** What an error may tell besides its text. */
export interface ViciErrorOptions extends ErrorOptions {
  /** Wire name of the command that it is about. */
  readonly command?: string | undefined;
  /** With `command-failed`: charon's whole reply, such as the `matches` of a terminate that failed. */
  readonly reply?: ReadonlyMap<string, unknown> | undefined;
}

/** The only error that the library throws. */
export class ViciError extends Error {
  override readonly name = 'ViciError';
  /** What callers decide by. */
  readonly code: ViciErrorCode;
  /** The text alone, without code and command; with `command-failed` exactly what charon wrote. */
  readonly detail: string;
  /** Wire name of the command that it is about. */
  readonly command: string | undefined;
  /** charon's whole reply with `command-failed`. */
  readonly reply: ReadonlyMap<string, unknown> | undefined;

  constructor(code: ViciErrorCode, detail: string, options: ViciErrorOptions = {}) {
    super(`[${code}] ${options.command === undefined ? '' : `${options.command}: `}${detail}`, options);
    this.code = code;
    this.detail = detail;
    this.command = options.command;
    this.reply = options.reply;
  }
}
