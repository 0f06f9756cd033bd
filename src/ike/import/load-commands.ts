import { createPrivateKey, X509Certificate } from 'node:crypto';
import { messageOf } from '../../errors.ts';
import { connectionTree, type ConfigTree } from './connection-tree.ts';
import { ImportError } from './import-error.ts';
import type {
  CertificateKind,
  CredentialRef,
  ImportedConfig,
  ImportedConnection,
  ImportedCredential,
} from './imported.ts';

/** One command for charon's VICI socket. */
export interface LoadCommand {
  readonly command: 'load-pool' | 'load-authority' | 'load-cert' | 'load-key' | 'load-shared' | 'load-conn';
  readonly request: ConfigTree<Uint8Array>;
}

/** What to bring up after loading. `after`: the mediation connection that must be ESTABLISHED before. */
export interface Initiation {
  readonly ike: string;
  readonly child?: string | undefined;
  readonly after?: string | undefined;
}

/** Gives the content of a file that the configuration names. */
export type ReadFile = (path: string) => Uint8Array;

/** What `load-cert` calls them. */
const CERTIFICATE_TYPES: Readonly<Record<CertificateKind, { readonly type: string; readonly flag?: string }>> = {
  x509: { type: 'X509', flag: 'NONE' },
  x509ca: { type: 'X509', flag: 'CA' },
  x509aa: { type: 'X509', flag: 'AA' },
  x509ocsp: { type: 'X509', flag: 'OCSP' },
  x509ac: { type: 'X509_AC' },
  x509crl: { type: 'X509_CRL' },
  pubkey: { type: 'PUBKEY' },
};

/**
 * All commands that load a configuration, in an order in which each finds what it needs. One command per item, so
 * that a refusal concerns that item alone. Throws ImportError `bad-credential` for a file that does not hold what it
 * should, and what `readFile` throws. Afterwards bring up what {@link initiations} says.
 */
export function loadCommands(config: ImportedConfig, readFile: ReadFile): readonly LoadCommand[] {
  return [
    ...config.pools.map(({ name, addresses, attributes }) => ({
      command: 'load-pool' as const,
      request: { [name]: { addrs: addresses, ...attributes } },
    })),
    ...config.authorities.map(({ name, file, crlUris, ocspUris, certificateUriBase }) => ({
      command: 'load-authority' as const,
      request: {
        [name]: {
          cacert: certificateBytes(file, readFile),
          ...(crlUris.length > 0 && { crl_uris: crlUris }),
          ...(ocspUris.length > 0 && { ocsp_uris: ocspUris }),
          ...(certificateUriBase !== undefined && { cert_uri_base: certificateUriBase }),
        },
      },
    })),
    ...config.credentials.map((credential) => credentialCommand(credential, readFile)),
    ...config.connections.map((connection) => ({
      command: 'load-conn' as const,
      request: loadConnectionRequest(connection, readFile),
    })),
  ];
}

/** The `load-conn` request for one connection, certificates as DER. Throws like {@link loadCommands}. */
export function loadConnectionRequest(connection: ImportedConnection, readFile: ReadFile): ConfigTree<Uint8Array> {
  return { [connection.name]: connectionTree(connection, (ref, kind) => blobOf(ref, kind, readFile)) };
}

/**
 * What charon does not bring up by itself on loading: mediation connections, which have no child that could, and
 * mediated ones, in the order in which to do it.
 */
export function initiations(config: ImportedConfig): readonly Initiation[] {
  const mediation = config.connections.filter((connection) => startsMediation(connection));
  const mediated = config.connections.flatMap(({ name, mediation, children }) => {
    if (mediation.kind !== 'mediated') return [];
    const starting = children.filter(({ startAction }) => startAction?.includes('start'));
    return starting.map((child) => ({ ike: name, child: child.name, after: mediation.by }));
  });
  return [...mediation.map(({ name }) => ({ ike: name })), ...mediated];
}

function startsMediation({ mediation }: ImportedConnection): boolean {
  return mediation.kind === 'mediation' && mediation.start;
}

function credentialCommand(credential: ImportedCredential, readFile: ReadFile): LoadCommand {
  switch (credential.kind) {
    case 'certificate': {
      const { type, file } = credential;
      const isX509 = CERTIFICATE_TYPES[type].flag !== undefined;
      const data = isX509 ? certificateBytes(file, readFile) : readFile(file);
      return { command: 'load-cert', request: { ...CERTIFICATE_TYPES[type], data } };
    }
    case 'private-key':
      return { command: 'load-key', request: privateKeyRequest(credential, readFile) };
    case 'shared-key': {
      const { name, type, owners, secret } = credential;
      return { command: 'load-shared', request: { id: name, type, data: secret.reveal(), owners } };
    }
  }
}

/** charon decrypts nothing, so that keys with a passphrase are decrypted here. Others go as they are. */
function privateKeyRequest(
  { type, file, passphrase }: Extract<ImportedCredential, { kind: 'private-key' }>,
  readFile: ReadFile,
): ConfigTree<Uint8Array> {
  const data = readFile(file);
  if (passphrase === undefined) return { type, data };
  try {
    const key = createPrivateKey({ key: Buffer.from(data), passphrase: Buffer.from(passphrase.reveal()) });
    return { type: 'any', data: key.export({ type: 'pkcs8', format: 'der' }) };
  } catch (cause) {
    throw new ImportError('bad-credential', file, `the key cannot be decrypted: ${messageOf(cause)}`, { cause });
  }
}

function blobOf(ref: CredentialRef, kind: 'certificate' | 'public-key', readFile: ReadFile): Uint8Array {
  if ('base64' in ref) return Buffer.from(ref.base64, 'base64');
  // charon reads public keys in more forms than Node does.
  return kind === 'public-key' ? readFile(ref.file) : certificateBytes(ref.file, readFile);
}

/** DER, from a file in PEM or DER. */
function certificateBytes(file: string, readFile: ReadFile): Uint8Array {
  const data = readFile(file);
  try {
    return new X509Certificate(data).raw;
  } catch (cause) {
    throw new ImportError('bad-credential', file, 'this is no certificate in PEM or DER', { cause });
  }
}
