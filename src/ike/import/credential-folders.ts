import { join } from 'node:path';
import type { Disk } from './disk.ts';
import { ImportError } from './import-error.ts';
import type { CertificateKind, ImportedCredential, PrivateKeyType } from './imported.ts';

/** What the folders of certificates and keys are called below `/etc/ipsec.d` and `/etc/swanctl`. */
const CERTIFICATE_FOLDERS: Readonly<Record<'ipsec' | 'swanctl', Readonly<Record<string, CertificateKind>>>> = {
  ipsec: { cacerts: 'x509ca', aacerts: 'x509aa', ocspcerts: 'x509ocsp', acerts: 'x509ac', crls: 'x509crl' },
  swanctl: {
    x509: 'x509',
    x509ca: 'x509ca',
    x509aa: 'x509aa',
    x509ocsp: 'x509ocsp',
    x509ac: 'x509ac',
    x509crl: 'x509crl',
    pubkey: 'pubkey',
  },
};

/** Folders of swanctl whose keys are all loaded; with ipsec.conf only those count that ipsec.secrets names. */
export const KEY_FOLDERS: Readonly<Record<string, PrivateKeyType>> = {
  private: 'any',
  pkcs8: 'any',
  rsa: 'rsa',
  ecdsa: 'ecdsa',
  bliss: 'bliss',
};

/** Per folder. */
const FILES_MAX = 1000;

/** The certificates that strongSwan loads without being told by name: all files of certain folders. */
export function listCredentials(
  disk: Disk,
  folder: string,
  source: 'ipsec' | 'swanctl',
): readonly ImportedCredential[] {
  return Object.entries(CERTIFICATE_FOLDERS[source]).flatMap(([name, type]) =>
    filesIn(disk, join(folder, name)).map((file) => ({ kind: 'certificate', type, file }) as const),
  );
}

/** A file name as charon takes it: as it is when absolute, else in the folder of its kind. */
export function inFolder(folder: string, name: string): string {
  return name.startsWith('/') ? name : join(folder, name);
}

/** Regular files of a folder, hidden ones left out; none when there is no such folder. Throws ImportError. */
export function filesIn(disk: Disk, folder: string): readonly string[] {
  const names = disk.list(folder).filter((name) => !name.startsWith('.'));
  if (names.length > FILES_MAX) throw new ImportError('too-much', folder, `more than ${FILES_MAX} files`);
  return names.map((name) => join(folder, name)).filter((path) => disk.isFile(path));
}
