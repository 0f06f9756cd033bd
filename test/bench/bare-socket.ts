import { connect, type Socket } from 'node:net';

const HEADER_BYTES = 4;

/** A socket that cuts what arrives into segments and looks at nothing but their first byte. */
export class BareSocket {
  readonly #socket: Socket;
  #rest: Uint8Array = new Uint8Array();
  #onSegment = (_type: number): void => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#cut(chunk));
  }

  static open(path: string): Promise<BareSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path }, () => resolve(new BareSocket(socket)));
      socket.once('error', reject);
    });
  }

  /** Writes, and resolves when as many segments of that type have come; rejects when the peer hangs up before that. */
  send(bytes: Uint8Array, type: number, count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = count;
      this.#onSegment = (arrived) => {
        if (arrived !== type) return;
        left -= 1;
        if (left === 0) resolve();
      };
      this.#socket.once('close', () => reject(new Error(`the peer hung up with ${left} segments to come`)));
      this.#socket.write(bytes);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #cut(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let offset = 0;
    while (bytes.length - offset > HEADER_BYTES) {
      const end = offset + HEADER_BYTES + view.getUint32(offset);
      if (end > bytes.length) break;
      this.#onSegment(bytes[offset + HEADER_BYTES] ?? -1);
      offset = end;
    }
    this.#rest = bytes.subarray(offset);
  }
}
