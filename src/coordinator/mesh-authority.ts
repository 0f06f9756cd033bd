import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { issueServerCertificate } from '../identity/certificates.ts';
import { generatePrivateKey } from '../identity/keys.ts';
import { caDn, caPinOf, createMeshCa, renewMeshCa, type MeshCa } from '../identity/mesh-ca.ts';
import { formatDn } from '../identity/names.ts';
import { checkOperatorCa } from '../identity/operator-ca.ts';
import { messageOf } from '../errors.ts';
import { readIfThere, writeDurably } from '../durable-file.ts';
import type { TlsIdentity } from './tls-options.ts';

/** The keys in the state directory cannot be used as they are; only a person can decide what to do. */
export class AuthorityError extends Error {
  override readonly name = 'AuthorityError';
}

export interface AuthorityOptions {
  /** Exists, and is nobody else's to read. */
  readonly stateDir: string;
  readonly mesh: string;
  readonly subject: string;
  /** Wall-clock time, ms since the epoch. */
  readonly nowMs: number;
  /** The operator's own CA. */
  readonly ca?: CaFiles;
  /** Pin of the CA that this mesh has had so far. */
  readonly knownPin?: string;
}

/** Paths of PEM files. */
export interface CaFiles {
  readonly certificate: string;
  readonly key: string;
  /** The CAs above it, each followed by its issuer. */
  readonly chain?: string;
}

/**
 * The mesh's CA: the operator's, or the one in `ca.key` and `ca.crt`; both are made when neither is there and the mesh has
 * none yet. Throws an AuthorityError, also for another CA than the mesh's: every node would be locked out.
 */
export async function loadMeshCa(options: AuthorityOptions): Promise<MeshCa> {
  const { stateDir, knownPin } = options;
  const found = options.ca === undefined ? storedCa(options) : operatorCa(options, options.ca);
  if (found !== undefined) {
    if (knownPin === undefined || caPinOf(found.certificatePem) === knownPin) return found;
    const path = options.ca?.certificate ?? join(stateDir, 'ca.crt');
    throw new AuthorityError(
      `${path} is another CA than the one that the nodes of this mesh know; put that one back (ca in the configuration, or a backup with keys)`,
    );
  }
  if (knownPin !== undefined) {
    throw new AuthorityError(
      `the CA that the nodes of this mesh know is missing: name it as ca in the configuration, or put ca.key and ca.crt into ${stateDir}`,
    );
  }
  return makeCa(options);
}

function operatorCa({ stateDir, ...names }: AuthorityOptions, files: CaFiles): MeshCa {
  const { keyPath } = caFilesIn(stateDir);
  if (readIfThere(keyPath) === undefined) return loadOperatorCa(files, names);
  const message = `${keyPath}: this mesh has a CA already; with another one its nodes would be locked out. Remove ca in the configuration, or for a new mesh the state directory`;
  throw new AuthorityError(message);
}

function storedCa({ stateDir, mesh, subject }: AuthorityOptions): MeshCa | undefined {
  const { keyPath, certificatePath } = caFilesIn(stateDir);
  const [privateKeyPem, certificatePem] = [readIfThere(keyPath), readIfThere(certificatePath)];
  if (privateKeyPem === undefined && certificatePem === undefined) return undefined;
  if (privateKeyPem === undefined || certificatePem === undefined) {
    const [lost, found] = privateKeyPem === undefined ? [keyPath, certificatePath] : [certificatePath, keyPath];
    throw new AuthorityError(`${lost} is missing: restore it from a backup, or remove ${found} for a new mesh`);
  }
  checkCa(certificatePath, { mesh, subject, privateKeyPem, certificatePem });
  return { mesh, subject, privateKeyPem, certificatePem };
}

async function makeCa({ stateDir, mesh, subject, nowMs }: AuthorityOptions): Promise<MeshCa> {
  const { keyPath, certificatePath } = caFilesIn(stateDir);
  const ca = await createMeshCa({ mesh, subject, nowMs });
  writeDurably(keyPath, ca.privateKeyPem, 0o600);
  writeDurably(certificatePath, ca.certificatePem, 0o644);
  return ca;
}

/**
 * Makes `ca.crt` anew, for the same key, good for ten years from now on; a coordinator shows it from its next start on.
 * Returns its end, in ms since the epoch. Throws an AuthorityError when the state directory has no CA of the mesh's own.
 */
export async function renewStoredCa(options: Omit<AuthorityOptions, 'knownPin'>): Promise<number> {
  if (options.ca !== undefined) {
    throw new AuthorityError(
      "the mesh's CA is the operator's: renew its certificate there, with the same key and name",
    );
  }
  const found = storedCa(options);
  const { keyPath, certificatePath } = caFilesIn(options.stateDir);
  if (found === undefined) throw new AuthorityError(`${keyPath}: there is no such file`);
  const { certificatePem } = await renewMeshCa(found, options.nowMs);
  writeDurably(certificatePath, certificatePem, 0o644);
  return Date.parse(new X509Certificate(certificatePem).validTo);
}

function caFilesIn(stateDir: string): { readonly keyPath: string; readonly certificatePath: string } {
  return { keyPath: join(stateDir, 'ca.key'), certificatePath: join(stateDir, 'ca.crt') };
}

function loadOperatorCa(
  files: CaFiles,
  { mesh, subject, nowMs }: Pick<AuthorityOptions, 'mesh' | 'subject' | 'nowMs'>,
): MeshCa {
  const [certificatePem, privateKeyPem] = [fileText(files.certificate), fileText(files.key)];
  const chainPem = files.chain === undefined ? '' : fileText(files.chain);
  if ((statSync(files.key).mode & 0o007) !== 0) {
    throw new AuthorityError(`${files.key}: everybody can read the CA's key: chmod o= it`);
  }
  try {
    return checkOperatorCa({ mesh, subject, certificatePem, privateKeyPem, chainPem }, nowMs);
  } catch (cause) {
    throw new AuthorityError(`${files.certificate}: ${messageOf(cause)}`, { cause });
  }
}

function fileText(path: string): string {
  const text = readIfThere(path);
  if (text === undefined) throw new AuthorityError(`${path}: there is no such file`);
  return text;
}

function checkCa(path: string, ca: MeshCa): void {
  const certificate = new X509Certificate(ca.certificatePem);
  const name = certificate.subject.split('\n').join(', ');
  const wanted = formatDn(caDn(ca));
  if (name !== wanted) {
    throw new AuthorityError(`${path} is of "${name}", and mesh and subject of the configuration make "${wanted}"`);
  }
  if (!certificate.checkPrivateKey(createPrivateKey(ca.privateKeyPem))) {
    throw new AuthorityError(`${path} does not belong to ca.key`);
  }
}

/**
 * What the TLS port shows, from `server.key` and `server.crt`. Both are made anew when the names have changed, half of
 * the certificate's life is over, or they do not fit the CA.
 */
export async function loadServerIdentity(
  stateDir: string,
  ca: MeshCa,
  hosts: readonly string[],
  nowMs: number,
): Promise<TlsIdentity> {
  const keyPath = join(stateDir, 'server.key');
  const certificatePath = join(stateDir, 'server.crt');
  let [key, certificate] = [readIfThere(keyPath), readIfThere(certificatePath)];
  if (key === undefined || certificate === undefined || !isUsable({ key, certificate }, ca, hosts, nowMs)) {
    key = await generatePrivateKey('ecdsa-p256');
    const publicKey = createPublicKey(createPrivateKey(key));
    certificate = await issueServerCertificate(ca, { hosts, publicKey, nowMs });
    writeDurably(keyPath, key, 0o600);
    writeDurably(certificatePath, certificate, 0o644);
  }
  const { certificatePem, chainPem: chain } = ca;
  const certificateChain = certificate + certificatePem;
  return { key, certificateChain, ca: certificatePem, ...(chain !== undefined && { chain }) };
}

interface ServerPair {
  readonly key: string;
  readonly certificate: string;
}

function isUsable(pair: ServerPair, ca: MeshCa, hosts: readonly string[], nowMs: number): boolean {
  const certificate = new X509Certificate(pair.certificate);
  const [fromMs, toMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return (
    nowMs >= fromMs &&
    nowMs < (fromMs + toMs) / 2 &&
    certificate.verify(new X509Certificate(ca.certificatePem).publicKey) &&
    certificate.checkPrivateKey(createPrivateKey(pair.key)) &&
    certificate.subjectAltName?.split(', ').length === hosts.length &&
    hosts.every((host) => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined)
  );
}
