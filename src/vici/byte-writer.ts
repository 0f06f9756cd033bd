import { NAME_BYTES_MAX, nameRefused } from './name.ts';
import { ViciError } from './vici-error.ts';
import { WrittenNames } from './written-names.ts';

/** A value's length is two bytes on the wire. */
export const VALUE_BYTES_MAX = 65_535;

/** Longer texts are left to Node's encoder: calling it takes as long as writing some 25 characters here. */
const LOOP_LENGTH_MAX = 24;
/** A UTF-16 code unit becomes at most three bytes of UTF-8. */
const BYTES_PER_UNIT_MAX = 3;

const CAPACITY_FIRST = 4096;
/** A writer that had to grow beyond this is not kept for the next message. */
const CAPACITY_KEPT_MAX = 1024 * 1024;
/** Smaller messages are copied out of the writer's memory, larger ones take it along. */
const COPIED_MAX = 16 * 1024;
/** The new memory after that, in relation to the message: the next one is often of about the same size. */
const HEADROOM = 1.125;

const keys = new WrittenNames();

/** The last message's writer, for the next one: memory that has to grow first costs more than to write into it. */
const spare: ByteWriter[] = [];

/**
 * What `write` wrote, in memory of its own. Throws what `write` throws, and `segment-too-large` as soon as there is
 * more than `bytesMax`.
 */
export function written(write: (writer: ByteWriter) => void, bytesMax = Number.POSITIVE_INFINITY): Buffer {
  // Taken away meanwhile: a getter in the caller's request might encode another one.
  const writer = spare.pop() ?? new ByteWriter();
  try {
    return writer.run(write, bytesMax);
  } finally {
    if (spare.length === 0 && writer.capacity <= CAPACITY_KEPT_MAX) spare.push(writer);
  }
}

/** Writes the parts that packets and messages consist of. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(CAPACITY_FIRST);
  #view = viewOf(this.#bytes);
  #length = 0;
  #lengthMax = 0;

  /** Bytes that it can hold without growing. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** See {@link written}. */
  run(write: (writer: ByteWriter) => void, bytesMax: number): Buffer {
    this.#length = 0;
    this.#lengthMax = bytesMax;
    write(this);
    this.#checkLength();
    return this.#take();
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A name behind its length byte. Throws `invalid-request` for one that charon would not read. */
  name(name: string): void {
    const { length } = name;
    if (length > NAME_BYTES_MAX) throw nameRefused(name);
    this.#reserve(1 + NAME_BYTES_MAX);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = length;
    for (let index = 0; index < length; index += 1) {
      const unit = name.charCodeAt(index);
      if (unit < 0x20 || unit > 0x7e) throw nameRefused(name);
      bytes[at++] = unit;
    }
    this.#length = at;
  }

  /** `tag` and a name like {@link name}, for names that come often. */
  tagged(tag: number, name: string): void {
    this.#reserve(2 + NAME_BYTES_MAX);
    const start = this.#length + 1;
    this.#bytes[start - 1] = tag;
    this.#length = start;
    if (keys.write(name, this.#view, start)) {
      this.#length = start + 1 + name.length;
    } else {
      this.name(name);
      keys.learn(name, this.#view, start);
    }
  }

  /** A value behind its two length bytes, text as UTF-8. Throws `invalid-request` for one that has no room there. */
  value(value: string | Uint8Array): void {
    if (typeof value !== 'string') this.#longValue(value);
    else if (value.length > LOOP_LENGTH_MAX || !this.#shortAscii(value)) this.#longValue(value);
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#length = this.#writeBytes(bytes, this.#length);
  }

  #writeBytes(bytes: Uint8Array, start: number): number {
    this.#bytes.set(bytes, start);
    return start + bytes.length;
  }

  /** Writes nothing and returns false when the text is not ASCII. */
  #shortAscii(text: string): boolean {
    const { length } = text;
    this.#reserve(2 + LOOP_LENGTH_MAX);
    const view = this.#view;
    const start = this.#length + 2;
    let seen = 0;
    let index = 0;
    // Four characters at a time, which takes three quarters of the time.
    for (; index + 3 < length; index += 4) {
      const first = text.charCodeAt(index);
      const second = text.charCodeAt(index + 1);
      const third = text.charCodeAt(index + 2);
      const fourth = text.charCodeAt(index + 3);
      seen |= first | second | third | fourth;
      view.setInt32(start + index, (first << 24) | (second << 16) | (third << 8) | fourth);
    }
    for (; index < length; index += 1) {
      const unit = text.charCodeAt(index);
      seen |= unit;
      view.setUint8(start + index, unit);
    }
    if (seen > 0x7f) return false;
    view.setUint16(start - 2, length);
    this.#length = start + length;
    return true;
  }

  #longValue(value: string | Uint8Array): void {
    // Before any memory is taken; UTF-8 is never shorter than the text.
    checkValueLength(value.length);
    this.#reserve(2 + value.length * BYTES_PER_UNIT_MAX);
    const start = this.#length + 2;
    const end = typeof value === 'string' ? this.#writeUtf8(value, start) : this.#writeBytes(value, start);
    checkValueLength(end - start);
    this.#view.setUint16(start - 2, end - start);
    this.#length = end;
  }

  #writeUtf8(text: string, start: number): number {
    const length = this.#bytes.write(text, start, 'utf8');
    // Only a text that is not ASCII grows.
    if (length > text.length && /\p{Surrogate}/u.test(text)) {
      throw new ViciError('invalid-request', 'value has a lone surrogate');
    }
    return start + length;
  }

  /** Copying 500 KB into fresh memory takes as long as iterating over the message, so those are handed over. */
  #take(): Buffer {
    const message = this.#bytes.subarray(0, this.#length);
    if (this.#length < Math.max(COPIED_MAX, this.#bytes.length / 2)) return Buffer.from(message);
    this.#use(Buffer.allocUnsafe(Math.ceil(this.#length * HEADROOM)));
    return message;
  }

  #use(bytes: Buffer<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  #reserve(count: number): void {
    if (this.#length + count > this.#bytes.length) this.#grow(this.#length + count);
  }

  #grow(capacity: number): void {
    this.#checkLength();
    const grown = Buffer.allocUnsafe(Math.max(capacity, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#use(grown);
  }

  #checkLength(): void {
    if (this.#length <= this.#lengthMax) return;
    throw new ViciError('segment-too-large', `more than the ${this.#lengthMax} bytes that are possible`);
  }
}

function checkValueLength(length: number): void {
  if (length <= VALUE_BYTES_MAX) return;
  throw new ViciError('invalid-request', `value of ${length} bytes, at most ${VALUE_BYTES_MAX} are possible`);
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
