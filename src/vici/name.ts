import { ViciError } from './vici-error.ts';

/** A name's length is one byte on the wire. */
export const NAME_BYTES_MAX = 255;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Bytes of a key, section, command or event name. charon reads printable ASCII only and answers nothing at all to a
 * command with another name (vici_stringify), so anything else throws `invalid-request`. The empty name is legal.
 */
export function encodeName(name: string): Uint8Array {
  if (name.length > NAME_BYTES_MAX) {
    throw new ViciError('invalid-request', `name of ${name.length} bytes, at most ${NAME_BYTES_MAX} are possible`);
  }
  if (!/^[\x20-\x7e]*$/.test(name)) {
    throw new ViciError('invalid-request', `name ${JSON.stringify(name)} is not printable ASCII`);
  }
  return Buffer.from(name, 'latin1');
}

/**
 * charon writes names unchecked: a connection that another backend loaded may carry any bytes. They are shown as well
 * as possible rather than refused, so that it cannot hide the rest of the daemon's state.
 */
export function decodeName(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
