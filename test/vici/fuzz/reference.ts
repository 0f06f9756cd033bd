import { SECTION_DEPTH_MAX, type ViciItem, type ViciSection, type ViciValue } from '../../../src/vici/message.ts';
import { SEGMENT_BYTES_MAX } from '../../../src/vici/segment.ts';

/**
 * The formats read in the plainest way, to compare the real decoders with. Slow, and shares nothing with them.
 */

/** A message, and whether encoding it again gives the same bytes: no name repeats and all are printable ASCII. */
export interface ReferenceMessage {
  readonly root: ViciSection;
  readonly isCanonical: boolean;
}

/** Undefined where the bytes are no message. */
export function referenceMessage(bytes: Uint8Array): ReferenceMessage | undefined {
  const input = new Input(bytes);
  try {
    return { root: input.section(1), isCanonical: input.isCanonical };
  } catch (error) {
    if (error === MALFORMED) return undefined;
    throw error;
  }
}

/** The payloads that a stream begins with, and why there are no more of them. */
export interface ReferenceStream {
  readonly payloads: readonly Uint8Array[];
  /** Where the header of a segment that is too large ends. */
  readonly tooLargeAt: number | undefined;
  readonly pendingBytes: number;
}

export function referenceSegments(stream: Uint8Array): ReferenceStream {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const payloads: Uint8Array[] = [];
  let at = 0;
  while (stream.length - at >= 4) {
    const length = view.getUint32(at);
    if (length > SEGMENT_BYTES_MAX) return { payloads, tooLargeAt: at + 4, pendingBytes: 0 };
    if (stream.length - at - 4 < length) break;
    payloads.push(Uint8Array.from(stream.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return { payloads, tooLargeAt: undefined, pendingBytes: stream.length - at };
}

const MALFORMED = new Error('malformed');

class Input {
  readonly #bytes: readonly number[];
  #at = 0;
  isCanonical = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = [...bytes];
  }

  /** Level 1 ends with the bytes, deeper ones with their end element. */
  section(level: number): ViciSection {
    if (level > SECTION_DEPTH_MAX) throw MALFORMED;
    const section = new Map<string, ViciValue>();
    for (;;) {
      if (level === 1 && this.#at === this.#bytes.length) return section;
      const element = this.#byte();
      if (element === 2 && level > 1) return section;
      if (element !== 1 && element !== 3 && element !== 4) throw MALFORMED;
      const name = this.#name();
      if (section.has(name)) this.isCanonical = false;
      // A name that repeats keeps its first place and has its last value.
      section.set(name, element === 1 ? this.section(level + 1) : element === 3 ? this.#item() : this.#list());
    }
  }

  #list(): ViciItem[] {
    const items: ViciItem[] = [];
    for (;;) {
      const element = this.#byte();
      if (element === 6) return items;
      if (element !== 5) throw MALFORMED;
      items.push(this.#item());
    }
  }

  #item(): ViciItem {
    const bytes = this.#take(this.#byte() * 256 + this.#byte());
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return bytes;
    }
  }

  #name(): string {
    const bytes = this.#take(this.#byte());
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) this.isCanonical = false;
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  }

  #take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw MALFORMED;
    this.#at += length;
    return Uint8Array.from(this.#bytes.slice(this.#at - length, this.#at));
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw MALFORMED;
    this.#at += 1;
    return byte;
  }
}
