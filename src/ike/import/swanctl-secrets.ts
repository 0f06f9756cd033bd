import { basename, join } from 'node:path';
import { filesIn, KEY_FOLDERS, listCredentials } from './credential-folders.ts';
import type { Disk } from './disk.ts';
import type { Place } from './import-error.ts';
import type { ImportedCredential, SharedKeyType } from './imported.ts';
import { decodeSecret } from './secret-text.ts';
import { Secret } from './secret.ts';
import type { FlatSection } from './settings-references.ts';
import type { SwanctlContext } from './swanctl-connection.ts';
import { SwanctlKeys } from './swanctl-keys.ts';

const SHARED_KEYS: readonly SharedKeyType[] = ['eap', 'xauth', 'ntlm', 'ike', 'ppk'];

type PrivateKey = Extract<ImportedCredential, { readonly kind: 'private-key' }>;

/** A passphrase and where it stands. */
interface Passphrase {
  readonly secret: Secret;
  readonly name: string;
  readonly place: Place;
}

/** Passphrases by the folder and the lower-case name of the key file that they open. */
type Passphrases = ReadonlyMap<string, Passphrase>;

/**
 * All that swanctl would load besides connections (strongSwan: `swanctl/commands/load_creds.c`): the files of its
 * folders, and what the section `secrets` says.
 */
export function readSwanctlCredentials(
  sections: readonly FlatSection[],
  context: SwanctlContext & { readonly disk: Disk },
): readonly ImportedCredential[] {
  const { disk, folder, warnings } = context;
  const passphrases = new Map<string, Passphrase>();
  const shared = sections.map((section) => readSecret(section, context, passphrases));
  for (const file of filesIn(disk, join(folder, 'pkcs12'))) {
    warnings.add({ file, line: 1 }, 'containers are not opened here; take it apart with "openssl pkcs12"');
  }
  const keys = privateKeys(disk, folder, passphrases);
  for (const { secret, name, place } of passphrases.values()) {
    if (keys.some(({ passphrase }) => passphrase === secret)) continue;
    warnings.add(place, `${name} is left out: the folder has no key file of the name that it gives`);
  }
  return [
    ...listCredentials(disk, folder, 'swanctl'),
    ...keys,
    ...shared.filter((credential) => credential !== undefined),
  ];
}

function readSecret(
  section: FlatSection,
  { warnings }: SwanctlContext,
  passphrases: Map<string, Passphrase>,
): ImportedCredential | undefined {
  const { name, place } = section;
  const keys = new SwanctlKeys(section, warnings);
  const folder = Object.keys(KEY_FOLDERS).find((kind) => name.startsWith(kind));
  const type = SHARED_KEYS.find((kind) => name.startsWith(kind));
  const written = keys.take('secret');
  if (name.startsWith('token') || name.startsWith('pkcs12')) {
    warnings.add(place, `${name} is not carried over: only keys in plain files can be loaded from here`);
  } else if (folder === undefined && type === undefined) {
    warnings.add(place, `${name}: swanctl knows no such kind of secret and ignores it`);
  } else if (written === undefined && folder !== undefined) {
    warnings.add(place, `${name} has no secret, the passphrase of its key, and so does nothing: keys load without it`);
  } else if (written === undefined) {
    warnings.add(place, `${name} has no secret and is left out`);
  } else if (type !== undefined) {
    const owners = keys
      .takeRest()
      .filter(([key]) => key.startsWith('id'))
      .map(([, value]) => value);
    return { kind: 'shared-key', type, name, owners, secret: decodeSecret(written, keys.placeOf('secret')), place };
  } else {
    const file = keys.take('file') ?? '';
    const secret = new Secret(Buffer.from(written, 'utf8'));
    passphrases.set(`${folder}/${file.toLowerCase()}`, { secret, name, place });
  }
  return undefined;
}

function privateKeys(disk: Disk, folder: string, passphrases: Passphrases): readonly PrivateKey[] {
  return Object.entries(KEY_FOLDERS).flatMap(([name, type]) =>
    filesIn(disk, join(folder, name)).map((file) => {
      const passphrase = passphrases.get(`${name}/${basename(file).toLowerCase()}`)?.secret;
      return { kind: 'private-key', type, file, owners: [], passphrase } as const;
    }),
  );
}
