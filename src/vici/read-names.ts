import { decodeName, internalized } from './name.ts';

/** charon has some 200 keys; with this many slots few of them share one. */
const SLOTS = 1024;
/** Longer names are not kept. charon's longest key has 18 bytes. */
const KEPT_BYTES_MAX = 32;

/**
 * The keys of messages as strings: the same few stand in every section, in the same order, and to make a string and the
 * Map's hash of it anew takes several times as long as to find it here. The size is fixed, 1,024 names of at most 32
 * bytes: a name takes the place of the one that had its slot.
 */
export class ReadNames {
  readonly #lengths = new Uint8Array(SLOTS);
  /** The names' bytes, as it takes longer to compare bytes with a string's characters. */
  readonly #bytes = new Uint8Array(SLOTS * KEPT_BYTES_MAX);
  readonly #names: string[] = Array.from({ length: SLOTS }, () => '');
  /** By slot, the slot of the name that came next the last time. To be right saves computing a hash. */
  readonly #next = new Uint16Array(SLOTS);
  #last = 0;

  /** The name that stands in `bytes` from `start` to `end`; keeps no reference to them. */
  nameAt(bytes: Buffer, start: number, end: number): string {
    if (end - start > KEPT_BYTES_MAX) return decodeName(bytes, start, end);
    const slot = this.#slotOf(bytes, start, end);
    this.#last = slot;
    return this.#names[slot] ?? '';
  }

  #slotOf(bytes: Buffer, start: number, end: number): number {
    const guess = this.#next[this.#last] ?? 0;
    if (this.#isKept(guess, bytes, start, end)) return guess;
    const slot = hash(bytes, start, end) & (SLOTS - 1);
    if (!this.#isKept(slot, bytes, start, end)) this.#keep(slot, bytes, start, end);
    return (this.#next[this.#last] = slot);
  }

  #isKept(slot: number, bytes: Buffer, start: number, end: number): boolean {
    if (this.#lengths[slot] !== end - start) return false;
    const shift = slot * KEPT_BYTES_MAX - start;
    for (let at = start; at < end; at += 1) if (this.#bytes[at + shift] !== bytes[at]) return false;
    return true;
  }

  #keep(slot: number, bytes: Buffer, start: number, end: number): void {
    this.#lengths[slot] = end - start;
    bytes.copy(this.#bytes, slot * KEPT_BYTES_MAX, start, end);
    this.#names[slot] = internalized(decodeName(bytes, start, end));
  }
}

function hash(bytes: Buffer, start: number, end: number): number {
  let sum = end - start;
  for (let at = start; at < end; at += 1) sum = (Math.imul(sum, 31) + (bytes[at] ?? 0)) | 0;
  return sum ^ (sum >>> 10);
}
