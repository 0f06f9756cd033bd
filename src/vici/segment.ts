import { written, type ByteWriter } from './byte-writer.ts';
import { ViciError } from './vici-error.ts';

/** charon's VICI_MESSAGE_SIZE_MAX: a longer request makes it hang up, a longer reply it drops without a word. */
export const SEGMENT_BYTES_MAX = 512 * 1024;

const HEADER_BYTES = 4;

/** Puts the length in front. Throws `segment-too-large`. */
export function encodeSegment(payload: Uint8Array): Uint8Array {
  return writtenSegment((writer) => writer.raw(payload));
}

/** A segment of what `write` writes. Throws what it throws, and `segment-too-large`. */
export function writtenSegment(write: (writer: ByteWriter) => void): Uint8Array {
  const segment = written((writer) => {
    for (let at = 0; at < HEADER_BYTES; at += 1) writer.u8(0);
    write(writer);
  }, HEADER_BYTES + SEGMENT_BYTES_MAX);
  segment.writeUInt32BE(segment.length - HEADER_BYTES);
  return segment;
}

/**
 * Cuts a byte stream into segments. Push chunks in order; each call returns the payloads that became complete. One that
 * came in a single chunk is a view of it, valid until that memory is used for something else; others are copies. A
 * length above the limit throws `segment-too-large` before memory is taken for it; the decoder is unusable from then
 * on, as the stream has lost its framing.
 */
export class SegmentDecoder {
  #headerFilled = 0;
  #length = 0;
  /** For a payload that comes in parts. */
  #payload: Uint8Array | undefined;
  #payloadFilled = 0;
  #broken: ViciError | undefined;

  /** Takes the next bytes of the stream, and gives the payloads that they complete. */
  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#broken !== undefined) throw this.#broken;
    const complete: Uint8Array[] = [];
    let at = this.#readHeader(chunk, 0);
    while (this.#headerFilled === HEADER_BYTES) {
      const end = Math.min(chunk.length, at + this.#length - this.#payloadFilled);
      const payload = this.#readPayload(chunk.subarray(at, end));
      if (payload === undefined) break;
      complete.push(payload);
      at = this.#readHeader(chunk, end);
    }
    return complete;
  }

  /** Bytes held back for an unfinished segment; above 0 when the peer closes means that it was cut off. */
  get pendingBytes(): number {
    return this.#headerFilled + this.#payloadFilled;
  }

  /** Reads on in the header and returns where it or the chunk ends. */
  #readHeader(chunk: Uint8Array, start: number): number {
    let at = start;
    for (; at < chunk.length && this.#headerFilled < HEADER_BYTES; at += 1) {
      this.#length = this.#length * 0x100 + (chunk[at] ?? 0);
      this.#headerFilled += 1;
      if (this.#headerFilled === HEADER_BYTES) this.#checkLength();
    }
    return at;
  }

  #checkLength(): void {
    if (this.#length <= SEGMENT_BYTES_MAX) return;
    const detail = `segment of ${this.#length} bytes, at most ${SEGMENT_BYTES_MAX} are possible`;
    this.#broken = new ViciError('segment-too-large', detail);
    throw this.#broken;
  }

  /** The payload, if `part` completes it. */
  #readPayload(part: Uint8Array): Uint8Array | undefined {
    let payload: Uint8Array | undefined = part;
    if (part.length < this.#length) {
      payload = this.#payload ??= new Uint8Array(this.#length);
      payload.set(part, this.#payloadFilled);
      this.#payloadFilled += part.length;
      if (this.#payloadFilled < this.#length) return undefined;
    }
    this.#headerFilled = 0;
    this.#length = 0;
    this.#payload = undefined;
    this.#payloadFilled = 0;
    return payload;
  }
}
