import { decodeName } from './name.ts';
import { ViciError } from './vici-error.ts';

/** Reads forward through bytes; running out of them throws `malformed-message`, never reads past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#offset === this.#bytes.length;
  }

  get offset(): number {
    return this.#offset;
  }

  u8(what: string): number {
    return this.take(1, what)[0] ?? 0;
  }

  u16(what: string): number {
    const [high = 0, low = 0] = this.take(2, what);
    return high * 0x100 + low;
  }

  /** A name behind its length byte. */
  name(what: string): string {
    return decodeName(this.take(this.u8(what), what));
  }

  /** The next `length` bytes, as a view. */
  take(length: number, what: string): Uint8Array {
    const end = this.#offset + length;
    if (end > this.#bytes.length) {
      throw new ViciError('malformed-message', `${what} at byte ${this.#offset} runs past the end`);
    }
    const taken = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return taken;
  }

  /** All that is left, as a view. */
  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#offset, 'rest');
  }
}
