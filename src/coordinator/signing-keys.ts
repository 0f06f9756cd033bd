import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { INTRODUCTIONS_MAX } from '../control/frames.ts';
import { SigningError } from '../control/signing-error.ts';
import {
  generateSigningKey,
  signingKeyOf,
  signingPublicKeyOf,
  type SigningKey,
  type SigningPublicKey,
} from '../control/signing-key.ts';
import { nextKeyStatementSchema, openStatement, signStatement, type Signed } from '../control/statement.ts';
import { readIfThere, writeDurably } from '../durable-file.ts';
import { AuthorityError } from './mesh-authority.ts';
import type { Commit, SigningStore } from './signing-store.ts';

export interface SigningKeysOptions {
  /** Exists, and is nobody else's to read. */
  readonly stateDir: string;
  readonly mesh: string;
  readonly store: SigningStore;
  /** File with the public part of a key that is kept elsewhere; undefined: the key is this coordinator's own. */
  readonly offlineKey: string | undefined;
}

/**
 * The mesh's signing keys: the chain of the public ones, and the private one unless the operator keeps that. It is made at the
 * first start, in `signing.key`.
 */
export class SigningKeys {
  readonly #options: SigningKeysOptions;
  #chain: readonly { readonly key: SigningPublicKey; readonly introduction: Signed | undefined }[];
  #signer: SigningKey | undefined;

  /** Throws an AuthorityError when the key is not the one that nodes trust, or cannot be read. */
  constructor(options: SigningKeysOptions) {
    this.#options = options;
    this.#chain = options.store.keys();
    this.#signer = options.offlineKey === undefined ? this.#loadOwn() : undefined;
    if (options.offlineKey !== undefined) this.#checkOffline(options.offlineKey);
  }

  /** The key that signs now. */
  get current(): SigningPublicKey {
    const last = this.#chain.at(-1);
    if (last === undefined) throw new TypeError('a mesh has a signing key from its first start');
    return last.key;
  }

  /** Undefined when the operator keeps the key. */
  get signer(): SigningKey | undefined {
    return this.#signer;
  }

  /** The statements that lead a node from the keys that it trusts to the current one; none when it trusts that already. */
  introductionsFor(trusted: readonly SigningPublicKey[]): readonly Signed[] {
    const known = this.#chain.findLastIndex(({ key }) => trusted.includes(key));
    if (known === -1) return [];
    return this.#chain.slice(known + 1).flatMap(({ introduction }) => introduction ?? []);
  }

  /**
   * Makes a new key, or hands over to one that the operator keeps, with the word of the present one. Throws a SigningError
   * when the private key is not here.
   */
  rotate(nowMs: number, next: SigningPublicKey | undefined, commit: Commit): void {
    const signer = this.#signer;
    if (signer === undefined) throw new SigningError('bad-key', 'the signing key is not on this coordinator');
    const pem = next === undefined ? generateSigningKey() : undefined;
    const key = pem === undefined ? next : signingKeyOf(pem).publicKey;
    if (key === undefined || this.#chain.some((known) => known.key === key)) {
      throw new SigningError('bad-key', 'this key has been one of the mesh before');
    }
    const { mesh } = this.#options;
    const introduction = signStatement(
      { kind: 'next-key', mesh, replaces: signer.publicKey, key, issuedAtMs: nowMs },
      signer,
    );
    // Both keys are on disk until the database says which one counts.
    if (pem !== undefined) writeDurably(this.#path('signing.key.next'), pem, 0o600);
    this.#add(key, introduction, commit);
    if (pem === undefined) this.#signer = undefined;
    else this.#signer = this.#loadOwn();
  }

  /** The operator's word for the operator's next key. Throws a SigningError when it is not to be believed. */
  introduce(introduction: Signed, commit: Commit): void {
    const { mesh, replaces, key } = openStatement(introduction, [this.current], nextKeyStatementSchema);
    if (mesh !== this.#options.mesh) throw new SigningError('not-understood', `it is for mesh ${mesh}`);
    if (replaces !== this.current)
      throw new SigningError('not-understood', 'it replaces another key than the current one');
    if (this.#chain.some((known) => known.key === key)) {
      throw new SigningError('bad-key', 'this key has been one of the mesh before');
    }
    this.#add(key, introduction, commit);
  }

  #add(key: SigningPublicKey, introduction?: Signed, commit: Commit = (change) => change()): void {
    if (this.#chain.length > INTRODUCTIONS_MAX) {
      throw new SigningError(
        'bad-key',
        `the key was rotated ${INTRODUCTIONS_MAX} times, which is as often as it can be`,
      );
    }
    commit(() => this.#options.store.addKey({ key, introduction }));
    this.#chain = this.#options.store.keys();
  }

  #loadOwn(): SigningKey {
    const [path, nextPath] = [this.#path('signing.key'), this.#path('signing.key.next')];
    const [own, next] = [this.#readKey(path), this.#readKey(nextPath)];
    if (this.#chain.length === 0) return this.#begin(path, own);
    if (next?.publicKey === this.current) {
      renameSync(nextPath, path);
      return next;
    }
    rmSync(nextPath, { force: true });
    if (own?.publicKey === this.current) return own;
    if (own !== undefined && this.#options.store.isHeldBack && !this.#chain.some(({ key }) => key === own.publicKey)) {
      // The backup is from before the last rotation: nodes that have heard of that trust this key.
      this.#add(own.publicKey);
      return own;
    }
    const wanted = `the mesh's signing key is ${this.current}`;
    if (own === undefined) {
      throw new AuthorityError(
        `${path} is missing, and ${wanted}: restore it from a backup, or name the public key of one that is kept elsewhere as signingKey in the configuration`,
      );
    }
    throw new AuthorityError(`${path} is another key: ${wanted}, and nodes would believe nothing that this one signs`);
  }

  #begin(path: string, found: SigningKey | undefined): SigningKey {
    if (found === undefined) writeDurably(path, generateSigningKey(), 0o600);
    const own = found ?? this.#readKey(path);
    if (own === undefined) throw new AuthorityError(`${path} is gone`);
    this.#add(own.publicKey);
    return own;
  }

  /** It begins the chain, or is part of it: what came after it in the meantime was introduced by it. */
  #checkOffline(path: string): void {
    const pem = readIfThere(path);
    if (pem === undefined) throw new AuthorityError(`signingKey: there is no file ${path}`);
    const key = readable(path, () => signingPublicKeyOf(pem));
    if (this.#chain.length === 0) return this.#add(key);
    if (this.#chain.some((known) => known.key === key)) return;
    throw new AuthorityError(
      `signingKey: nodes trust ${this.current}, and that has not introduced the key of ${path}: see meshctl signing-key rotate`,
    );
  }

  #readKey(path: string): SigningKey | undefined {
    const pem = readIfThere(path);
    return pem === undefined ? undefined : readable(path, () => signingKeyOf(pem));
  }

  #path(name: string): string {
    return join(this.#options.stateDir, name);
  }
}

function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SigningError) throw new AuthorityError(`${path}: ${cause.message}`, { cause });
    throw cause;
  }
}
