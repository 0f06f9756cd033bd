import { internalized } from './name.ts';

/** charon has about 200 keys. When there is no room for another name all are forgotten. */
const NAMES_MAX = 512;
/** A name's length byte and the name, in whole words; charon's longest key has 18 bytes. */
const WORDS = 8;
const LENGTH_MAX = WORDS * 4 - 1;

/**
 * Keys as they stand on the wire, ready to be copied by words of four bytes: they are the same in every section, and in
 * the same order. So the one that came next the last time is tried first; in most cases it is the one, and costs a
 * third of writing its characters. Of fixed size, 512 names.
 */
export class WrittenNames {
  readonly #slots = new Map<string, number>();
  readonly #names: string[] = [];
  readonly #words = new Uint32Array(NAMES_MAX * WORDS);
  /** By slot: the slot of the name that followed. */
  readonly #next = new Uint16Array(NAMES_MAX);
  #last = 0;

  /** Writes the name and up to {@link LENGTH_MAX} bytes of nonsense behind it; false when it is not known. */
  write(name: string, view: DataView, at: number): boolean {
    const slot = this.#slotOf(name);
    if (slot === undefined) return false;
    const from = slot * WORDS;
    for (let word = 0; word * 4 <= name.length; word += 1) {
      view.setUint32(at + word * 4, this.#words[from + word] ?? 0);
    }
    return true;
  }

  /** Remembers the name that now stands at `at`, with its length byte, if it is short enough. */
  learn(name: string, view: DataView, at: number): void {
    if (name.length > LENGTH_MAX) return;
    if (this.#names.length === NAMES_MAX) this.#forget();
    const kept = internalized(name);
    const slot = this.#names.push(kept) - 1;
    this.#slots.set(kept, slot);
    for (let word = 0; word * 4 <= name.length; word += 1) {
      this.#words[slot * WORDS + word] = view.getUint32(at + word * 4);
    }
  }

  #slotOf(name: string): number | undefined {
    const guess = this.#next[this.#last];
    if (guess !== undefined && this.#names[guess] === name) return (this.#last = guess);
    const slot = this.#slots.get(name);
    if (slot === undefined) return undefined;
    this.#next[this.#last] = slot;
    return (this.#last = slot);
  }

  #forget(): void {
    this.#names.length = 0;
    this.#slots.clear();
    this.#last = 0;
  }
}
