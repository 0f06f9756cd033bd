import { ViciError } from './vici-error.ts';

/** A name's length is one byte on the wire. */
export const NAME_BYTES_MAX = 255;

/** Why the wire cannot carry a name that is longer than {@link NAME_BYTES_MAX} or not printable ASCII. */
export function nameRefused(name: string): ViciError {
  return new ViciError(
    'invalid-request',
    name.length > NAME_BYTES_MAX
      ? `name of ${name.length} bytes, at most ${NAME_BYTES_MAX} are possible`
      : `name ${JSON.stringify(name)} is not printable ASCII`,
  );
}

/**
 * charon writes names unchecked: a connection that another backend loaded may carry any bytes. They are shown as well
 * as possible rather than refused, so that it cannot hide the rest of the daemon's state.
 */
export function decodeName(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}

/**
 * The one string that V8 keeps for names of properties with this text. Comparing it with a literal is comparing two
 * pointers, and it holds no other string's memory.
 */
export function internalized(name: string): string {
  return Object.keys({ [name]: true })[0] ?? name;
}
