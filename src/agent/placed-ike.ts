import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync, type Stats } from 'node:fs';
import type { Clock } from '../clock.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { KEY_KINDS, keyKindOf } from '../identity/keys.ts';
import { invalidIn, readCaChain } from '../identity/operator-ca.ts';
import type { NodeReport } from '../control/report.ts';
import type { CertificateStatus } from './api.ts';
import type { AgentConfig } from './config.ts';

const FILE_BYTES_MAX = 256 * 1024;
/** So long before its end a certificate that nobody renews is a problem worth showing. */
const WARNING_MS = 14 * 86_400_000;

/** After files that were not taken: the next look that finds all right is news, also when they are those of before. */
const NOTHING_READ = '';

export type PlacedFiles = NonNullable<AgentConfig['ike']>;
type Field = keyof PlacedFiles;

/** What the operator has placed on this node for IKE. All DER. */
export interface PlacedIke {
  /** The CA that has issued such certificates. */
  readonly issuer: Uint8Array;
  /** The CAs above it, up to the root. */
  readonly above: readonly Uint8Array[];
  /** Undefined on a node that shows a certificate of the mesh's CA, and takes those of others. */
  readonly own: PlacedCertificate | undefined;
}

export interface PlacedCertificate {
  readonly certificate: Uint8Array;
  /** PKCS#8. */
  readonly privateKey: Uint8Array;
  readonly notAfterMs: number;
}

export interface PlacedFilesDeps {
  readonly files: PlacedFiles;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Who this node is in its connections: distinguished names and domain names. Empty before it has any. */
  readonly localIds: () => readonly string[];
}

/** What is wrong with one of the files. */
class PlacedFileError extends Error {
  override readonly name = 'PlacedFileError';

  constructor(field: Field, path: string, message: string, options?: ErrorOptions) {
    super(`ike.${field}: ${path}: ${message}`, options);
  }
}

/** What could be read, and why peers, or this node's own charon, may not like it. */
interface Found {
  readonly placed: PlacedIke;
  readonly flaw: PlacedFileError | undefined;
}

/**
 * Certificates for IKE that the operator places on the node, read again when the files change. What is wrong with them is
 * told, and what was right before stays in use. When nothing was, those with another name or another time of validity are
 * used all the same: it is for charon and its peers to refuse them, and all else goes on.
 */
export class PlacedIkeFiles {
  readonly #deps: PlacedFilesDeps;
  #found: Found | undefined;
  #read = NOTHING_READ;
  #problem: string | null = null;

  constructor(deps: PlacedFilesDeps) {
    this.#deps = deps;
  }

  /** Undefined as long as they could never be used. */
  get current(): PlacedIke | undefined {
    return this.#found?.placed;
  }

  /** The end of the node's own certificate, null while none could be used. Undefined where it is one that the agent renews. */
  get own(): NodeReport['placedIke'] {
    if (this.#deps.files.certificate === undefined) return undefined;
    return { notAfterMs: this.current?.own?.notAfterMs ?? null };
  }

  /** Looks whether the files have changed. True when there is something else to use. To be called now and then. */
  look(): boolean {
    const localIds = this.#deps.localIds();
    // Whose certificate it has to be is not known yet, and nothing needs one.
    if (localIds.length === 0) return false;
    try {
      const state = JSON.stringify([localIds, this.#states()]);
      if (state === this.#read && this.#problem === null) return false;
      const found = this.#find(localIds);
      this.#problem = found.flaw?.message ?? null;
      const keepsFormer = found.flaw !== undefined && this.#found !== undefined && this.#found.flaw === undefined;
      const isNews = !keepsFormer && state !== this.#read;
      if (!keepsFormer) this.#found = found;
      this.#read = keepsFormer ? NOTHING_READ : state;
      return isNews;
    } catch (error) {
      if (!(error instanceof PlacedFileError)) throw error;
      this.#problem = error.message;
      this.#read = NOTHING_READ;
      return false;
    }
  }

  /** In words, with the field of the configuration and the file. */
  get problems(): readonly string[] {
    const { files, clock } = this.#deps;
    if (this.#problem !== null) return [`${this.#problem}; ${this.#consequence()}`];
    const endMs = this.current?.own?.notAfterMs;
    if (endMs === undefined || endMs - clock.nowMs() > WARNING_MS) return [];
    const end = new Date(endMs).toISOString();
    return [`ike.certificate: ${files.certificate ?? ''}: it is valid until ${end}, and the agent does not renew it`];
  }

  get status(): readonly CertificateStatus[] {
    const notAfterMs = this.current?.own?.notAfterMs;
    return notAfterMs === undefined
      ? []
      : [{ purpose: 'ike', notAfterMs, renewalAtMs: notAfterMs, problem: this.#problem }];
  }

  #states(): unknown {
    return Object.entries(this.#deps.files).map(([field, path]) => {
      const { ino, size, mtimeMs, ctimeMs } = statOf(field as Field, path);
      return [ino, size, mtimeMs, ctimeMs];
    });
  }

  #consequence(): string {
    if (this.#found === undefined) return 'nothing is loaded into charon, and no tunnel is set up';
    const isInUse = this.#problem === this.#found.flaw?.message;
    return isInUse ? 'it is used all the same' : 'what was there before stays in use';
  }

  #find(localIds: readonly string[]): Found {
    const { ca, certificate, key } = this.#deps.files;
    const chain = asking('ca', ca, () => readCaChain(textOf('ca', ca)));
    const [issuer, ...above] = chain;
    if (issuer === undefined) throw new PlacedFileError('ca', ca, 'there is no certificate in it');
    const nowMs = this.#deps.clock.nowMs();
    const caFlaw = flawOf('ca', ca, invalidIn(chain, nowMs));
    const cas = { issuer: issuer.raw, above: above.map(({ raw }) => raw) };
    if (certificate === undefined || key === undefined) return { placed: { ...cas, own: undefined }, flaw: caFlaw };
    const shown = readCertificate(certificate, issuer);
    const own: PlacedCertificate = {
      certificate: shown.raw,
      privateKey: readKeyOf(shown, key).export({ type: 'pkcs8', format: 'der' }),
      notAfterMs: Date.parse(shown.validTo),
    };
    const ownFlaw = flawOf('certificate', certificate, wrongNameOf(shown, localIds) ?? invalidIn([shown], nowMs));
    return { placed: { ...cas, own }, flaw: caFlaw ?? ownFlaw };
  }
}

function flawOf(field: Field, path: string, message: string | undefined): PlacedFileError | undefined {
  return message === undefined ? undefined : new PlacedFileError(field, path, message);
}

function readCertificate(path: string, issuer: X509Certificate): X509Certificate {
  const text = textOf('certificate', path);
  const shown = asking('certificate', path, () => new X509Certificate(text));
  if (!shown.checkIssued(issuer) || !shown.verify(issuer.publicKey)) {
    throw new PlacedFileError('certificate', path, 'the first CA of ike.ca has not issued it');
  }
  return shown;
}

/** Which identity of this node a certificate lacks; undefined when it has all. */
function wrongNameOf(shown: X509Certificate, localIds: readonly string[]): string | undefined {
  const subject = shown.subject.split('\n').join(', ');
  const names = shown.subjectAltName?.split(', ') ?? [];
  for (const id of localIds) {
    const isName = id.includes('=');
    if (isName && id !== subject) return `its subject is "${subject}", and must be "${id}"`;
    if (!isName && !names.includes(`DNS:${id}`)) return `it has no dNSName "${id}" (subject alternative name)`;
  }
  return undefined;
}

function readKeyOf(shown: X509Certificate, path: string): KeyObject {
  const key = readKey(path);
  if (!shown.checkPrivateKey(key)) throw new PlacedFileError('key', path, 'it is not that of ike.certificate');
  return key;
}

function readKey(path: string): KeyObject {
  if ((statOf('key', path).mode & 0o077) !== 0) {
    throw new PlacedFileError('key', path, 'others can read it: chmod 0600 it');
  }
  const text = textOf('key', path);
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // Without the cause: what was read is secret.
    throw new PlacedFileError('key', path, 'it cannot be read: a private key in PEM, not encrypted, is expected');
  }
  if (keyKindOf(key) === undefined) {
    throw new PlacedFileError('key', path, `it is of another kind than ${KEY_KINDS.join(', ')}`);
  }
  return key;
}

function textOf(field: Field, path: string): string {
  if (statOf(field, path).size > FILE_BYTES_MAX) {
    throw new PlacedFileError(field, path, `more than ${FILE_BYTES_MAX} bytes`);
  }
  return asking(field, path, () => readFileSync(path, 'utf8'));
}

function statOf(field: Field, path: string): Stats {
  const found = asking(field, path, () => statSync(path));
  if (!found.isFile()) throw new PlacedFileError(field, path, 'it is no file');
  return found;
}

/** Says of which field and file an error is. */
function asking<T>(field: Field, path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof PlacedFileError) throw cause;
    const isMissing = systemCodeOf(cause) === 'ENOENT';
    const unreadable = cause instanceof IdentityError ? messageOf(cause) : `it cannot be read: ${messageOf(cause)}`;
    throw new PlacedFileError(field, path, isMissing ? 'there is no such file' : unreadable, { cause });
  }
}
