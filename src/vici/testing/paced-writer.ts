import type { Socket } from 'node:net';

/** What may wait for a client that does not read. charon has no limit there, but a test should fail before it swaps. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;

/** Writes to a socket in pieces, each of which the other end gets to see by itself. */
export class PacedWriter {
  readonly #socket: Socket;
  readonly #chunkBytes: number;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isPumping = false;
  #isEnding = false;

  constructor(socket: Socket, chunkBytes: number) {
    this.#socket = socket;
    this.#chunkBytes = chunkBytes;
  }

  write(bytes: Uint8Array): void {
    if (this.#queuedBytes + this.#socket.writableLength > UNREAD_BYTES_MAX) {
      throw new Error(`a client of the fake charon leaves ${UNREAD_BYTES_MAX} bytes unread`);
    }
    if (bytes.length <= this.#chunkBytes && !this.#isPumping) {
      this.#socket.write(bytes);
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#isPumping) void this.#pump();
  }

  /** Closes behind what was written. */
  end(): void {
    this.#isEnding = true;
    if (!this.#isPumping) this.#socket.end();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
      this.#queuedBytes -= bytes.length;
      for (let from = 0; from < bytes.length && !this.#socket.destroyed; from += this.#chunkBytes) {
        this.#socket.write(bytes.subarray(from, from + this.#chunkBytes));
        // A turn of the event loop, in which a reader in this process gets the piece.
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
    this.#isPumping = false;
    if (this.#isEnding) this.#socket.end();
  }
}
