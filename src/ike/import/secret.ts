import { inspect } from 'node:util';

/**
 * Bytes that may be loaded into charon and must not be shown: printing, inspecting or serialising them gives
 * `<secret>`.
 */
export class Secret {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The secret itself. Pass it on at once; keep it in no log, message or file. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  toString(): string {
    return '<secret>';
  }

  toJSON(): string {
    return '<secret>';
  }

  [inspect.custom](): string {
    return '<secret>';
  }
}
