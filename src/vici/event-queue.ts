import { Fifo } from './fifo.ts';
import type { ViciError } from './vici-error.ts';

/** Hands items from the socket's reader, which never waits, to one consumer. */
export class EventQueue<T extends object> {
  readonly #items = new Fifo<T>();
  #end: { readonly error: ViciError | undefined } | undefined;
  #wake: (() => void) | undefined;

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#end !== undefined) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** Ends the queue behind what it holds: with an error, or as a list that is complete. The first end counts. */
  finish(error?: ViciError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** Ends the queue at once and drops what it holds. */
  fail(error: ViciError): void {
    if (this.#end === undefined) this.#items.drain();
    this.finish(error);
  }

  /** The next item if one lies ready. */
  take(): T | undefined {
    return this.#items.shift();
  }

  /** The next item, undefined at the end; throws the error that ended it. One call at a time. */
  async next(): Promise<T | undefined> {
    while (this.#items.length === 0 && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const item = this.#items.shift();
    if (item === undefined && this.#end?.error !== undefined) throw this.#end.error;
    return item;
  }
}
