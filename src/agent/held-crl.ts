import { createHash } from 'node:crypto';
import { z } from 'zod';
import { verifyCrl } from '../identity/crl.ts';
import type { StateFile } from './disk.ts';

/** DER in base64. Who has issued it is checked whenever it is read. */
export const storedCrlSchema = z.strictObject({ der: z.string() });
export type StoredCrl = Readonly<z.output<typeof storedCrlSchema>>;

/** A list of revoked certificates that this node's CA has signed. */
export interface NodeCrl {
  readonly number: number;
  readonly der: Uint8Array;
  readonly digest: string;
}

/** The newest list that this node was given. An older one never takes its place. */
export class HeldCrl {
  readonly #file: Pick<StateFile<StoredCrl>, 'write'>;
  readonly #ca: () => string | undefined;
  #current: NodeCrl | undefined;

  /** `ca`: PEM of the mesh CA; undefined before enrolment. */
  constructor(file: Pick<StateFile<StoredCrl>, 'write'>, ca: () => string | undefined) {
    this.#file = file;
    this.#ca = ca;
  }

  get current(): NodeCrl | undefined {
    return this.#current;
  }

  /** Takes up what is on disk, or nothing. Throws an IdentityError when this node's CA has not signed it. */
  restore(stored: StoredCrl | undefined): void {
    this.#current = undefined;
    const ca = this.#ca();
    if (stored !== undefined && ca !== undefined) this.#current = crlOf(stored, ca);
  }

  /**
   * Returns the list when it is newer than the one that is held. It counts before it is on disk, for the coordinator sends
   * it again after each hello. Throws an IdentityError when the node's CA has not signed it, a StateFileError when it
   * could not be written.
   */
  take(der: string): NodeCrl | undefined {
    const ca = this.#ca();
    if (ca === undefined) return undefined;
    const received = crlOf({ der }, ca);
    if (this.#current !== undefined && received.number <= this.#current.number) return undefined;
    this.#current = received;
    this.#file.write({ der });
    return received;
  }
}

function crlOf({ der: text }: StoredCrl, ca: string): NodeCrl {
  const { number, der } = verifyCrl(Buffer.from(text, 'base64'), ca);
  return { number, der, digest: createHash('sha256').update(der).digest('hex') };
}
