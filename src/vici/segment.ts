import { ViciError } from './vici-error.ts';

/** charon's VICI_MESSAGE_SIZE_MAX: a longer request makes it hang up, a longer reply it drops without a word. */
export const SEGMENT_BYTES_MAX = 512 * 1024;

const HEADER_BYTES = 4;

/** Puts the length in front. Throws `segment-too-large`. */
export function encodeSegment(payload: Uint8Array): Uint8Array {
  checkLength(payload.length);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/**
 * Cuts a byte stream into segments. Push chunks in order; each call returns the payloads that became complete, which
 * are the caller's. A length above the limit throws `segment-too-large` before memory is taken for it; the decoder is
 * unusable from then on, as the stream has lost its framing.
 */
export class SegmentDecoder {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #payload: Uint8Array | undefined;
  #payloadFilled = 0;
  #broken: ViciError | undefined;

  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#broken !== undefined) throw this.#broken;
    const complete: Uint8Array[] = [];
    for (let rest = chunk; rest.length > 0;) {
      rest = this.#payload === undefined ? this.#readHeader(rest) : this.#readPayload(this.#payload, rest);
      if (this.#payload !== undefined && this.#payloadFilled === this.#payload.length) {
        complete.push(this.#payload);
        this.#payload = undefined;
      }
    }
    return complete;
  }

  /** Bytes held back for an unfinished segment; above 0 when the peer closes means that it was cut off. */
  get pendingBytes(): number {
    return this.#payload === undefined ? this.#headerFilled : HEADER_BYTES + this.#payloadFilled;
  }

  #readHeader(chunk: Uint8Array): Uint8Array {
    const taken = chunk.subarray(0, HEADER_BYTES - this.#headerFilled);
    this.#header.set(taken, this.#headerFilled);
    this.#headerFilled += taken.length;
    if (this.#headerFilled === HEADER_BYTES) this.#beginPayload(this.#header.readUInt32BE());
    return chunk.subarray(taken.length);
  }

  #beginPayload(length: number): void {
    try {
      checkLength(length);
    } catch (error) {
      if (error instanceof ViciError) this.#broken = error;
      throw error;
    }
    this.#headerFilled = 0;
    this.#payload = new Uint8Array(length);
    this.#payloadFilled = 0;
  }

  #readPayload(payload: Uint8Array, chunk: Uint8Array): Uint8Array {
    const taken = chunk.subarray(0, payload.length - this.#payloadFilled);
    payload.set(taken, this.#payloadFilled);
    this.#payloadFilled += taken.length;
    return chunk.subarray(taken.length);
  }
}

function checkLength(length: number): void {
  if (length <= SEGMENT_BYTES_MAX) return;
  throw new ViciError('segment-too-large', `segment of ${length} bytes, at most ${SEGMENT_BYTES_MAX} are possible`);
}
