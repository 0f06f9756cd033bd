import { isAscii, isUtf8 } from 'node:buffer';
import { decodeName } from './name.ts';
import { ReadNames } from './read-names.ts';
import { ViciError } from './vici-error.ts';

/**
 * Texts are cut out of stretches of this many bytes, because a call into Node costs as much as 15 cuts. V8 does not
 * copy what it cuts out above 12 characters, so such a text may hold that much memory for as long as it lives.
 */
const STRETCH_BYTES = 4096;

const keys = new ReadNames();

/** Reads forward through bytes; running out of them throws `malformed-message`, never reads past the end. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;
  #stretch = '';
  #stretchStart = 0;
  #stretchEnd = 0;
  #stretchIsAscii = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  get offset(): number {
    return this.#at;
  }

  u8(what: string): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw this.#pastEnd(what);
    this.#at += 1;
    return byte;
  }

  /** A name behind its length byte that few others resemble, such as a connection's. */
  name(what: string): string {
    const length = this.u8(what);
    const start = this.#skip(length, what);
    return this.#textOf(start) ?? decodeName(this.#bytes, start, this.#at);
  }

  /** A name behind its length byte that comes often. */
  key(what: string): string {
    const length = this.u8(what);
    const start = this.#skip(length, what);
    return keys.nameAt(this.#bytes, start, this.#at);
  }

  /** A value behind its two length bytes: a string when it is UTF-8, else a copy of its bytes. */
  value(what: string): string | Uint8Array {
    const length = this.u8(what) * 0x100 + this.u8(what);
    const start = this.#skip(length, what);
    return this.#textOf(start) ?? this.#decode(start);
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#skip(this.#bytes.length - this.#at, 'rest'));
  }

  /** Moves on behind the next `length` bytes; where they start. */
  #skip(length: number, what: string): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#pastEnd(what);
    this.#at = start + length;
    return start;
  }

  /** What was just skipped, if it is ASCII. */
  #textOf(start: number): string | undefined {
    const end = this.#at;
    if (end > this.#stretchEnd) this.#beginStretch(start);
    if (!this.#stretchIsAscii && !isAsciiBetween(this.#bytes, start, end)) return undefined;
    return this.#stretch.substring(start - this.#stretchStart, end - this.#stretchStart);
  }

  #beginStretch(start: number): void {
    const stretch = this.#bytes.subarray(start, Math.max(start + STRETCH_BYTES, this.#at));
    this.#stretch = stretch.toString('latin1');
    this.#stretchIsAscii = isAscii(stretch);
    this.#stretchStart = start;
    this.#stretchEnd = start + stretch.length;
  }

  #decode(start: number): string | Uint8Array {
    const bytes = this.#bytes.subarray(start, this.#at);
    return isUtf8(bytes) ? bytes.toString('utf8') : new Uint8Array(bytes);
  }

  #pastEnd(what: string): ViciError {
    return new ViciError('malformed-message', `${what} at byte ${this.#at} runs past the end`);
  }
}

function isAsciiBetween(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if ((bytes[at] ?? 0) > 0x7f) return false;
  return true;
}
