import { basename } from 'node:path';
import { connectionTree, type ConfigTree } from './connection-tree.ts';
import { formatPlace } from './import-error.ts';
import type { CredentialRef, ImportedConfig, ImportedConnection, ImportedCredential } from './imported.ts';
import { initiations } from './load-commands.ts';
import { withSwanctlNames } from './swanctl-names.ts';

const INDENT = '  ';
const KEY_FOLDER = { any: 'private', rsa: 'rsa', ecdsa: 'ecdsa', bliss: 'bliss' } as const;

/**
 * A swanctl.conf that means the same. Secrets stay where they are: for each there is a section that says whose it is
 * and where it stands. Comments say which files to copy, and what to bring up by hand.
 */
export function formatSwanctlConf(config: ImportedConfig): string {
  const plain = withSwanctlNames(config);
  const connections = plain.connections.flatMap((connection) => section(connection.name, textTree(connection)));
  const pools = plain.pools.flatMap(({ name, addresses, attributes }) =>
    section(name, { addrs: addresses, ...attributes }),
  );
  const authorities = plain.authorities.flatMap(({ name, file, crlUris, ocspUris, certificateUriBase }) =>
    section(name, {
      cacert: file,
      ...(crlUris.length > 0 && { crl_uris: crlUris }),
      ...(ocspUris.length > 0 && { ocsp_uris: ocspUris }),
      ...(certificateUriBase !== undefined && { cert_uri_base: certificateUriBase }),
    }),
  );
  const blocks = [
    copyComments(plain.credentials),
    initiationComments(plain),
    around('connections', connections),
    around('pools', pools),
    around('authorities', authorities),
    around('secrets', plain.credentials.flatMap(secretSection)),
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${line}\n`).join(''))
    .join('\n');
}

function textTree(connection: ImportedConnection): ConfigTree<string> {
  return connectionTree(connection, (ref: CredentialRef) => ('file' in ref ? ref.file : `0s${ref.base64}`));
}

function copyComments(credentials: readonly ImportedCredential[]): readonly string[] {
  const copies = credentials.flatMap((credential) => {
    if (credential.kind === 'shared-key') return [];
    const folder = credential.kind === 'certificate' ? credential.type : KEY_FOLDER[credential.type];
    const target = `/etc/swanctl/${folder}/${basename(credential.file)}`;
    return target === credential.file ? [] : [comment(`  ${credential.file} -> ${target}`)];
  });
  return copies.length === 0 ? [] : [comment('swanctl loads what is in its folders. Copy there:'), ...copies];
}

function initiationComments(config: ImportedConfig): readonly string[] {
  const commands = initiations(config).map(({ ike, child, after }) => {
    const what = child === undefined ? `--ike ${ike}` : `--ike ${ike} --child ${child}`;
    return comment(`  swanctl --initiate ${what}${after === undefined ? '' : ` (while ${after} is established)`}`);
  });
  return commands.length === 0 ? [] : [comment('Loading does not start these. Start them by hand:'), ...commands];
}

function secretSection(credential: ImportedCredential, index: number): readonly string[] {
  const where = credential.place === undefined ? '' : ` It stands in ${formatPlace(credential.place)}.`;
  const hint = INDENT + comment(`secret = …  (not shown.${where})`);
  switch (credential.kind) {
    case 'certificate':
      return [];
    case 'private-key': {
      if (credential.passphrase === undefined) return [];
      const name = `${KEY_FOLDER[credential.type]}-${index + 1}`;
      return section(name, { file: basename(credential.file) }, [hint]);
    }
    case 'shared-key': {
      const ids = credential.owners.map((owner, position) => [`id-${position + 1}`, owner] as const);
      return section(credential.name, Object.fromEntries(ids), [hint]);
    }
  }
}

function around(name: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`${name} {`, ...lines.map((line) => INDENT + line), '}'];
}

function section(name: string, tree: ConfigTree<string>, more: readonly string[] = []): readonly string[] {
  const lines = Object.entries(tree).flatMap(([key, value]) => {
    if (typeof value === 'string') return [`${key} = ${quoted(value)}`];
    if (isList(value)) return [`${key} = ${quoted(value.join(', '))}`];
    return section(key, value);
  });
  return [`${name} {`, ...lines.map((line) => INDENT + line), ...more, '}'];
}

function isList(value: ConfigTree<string>[string]): value is readonly string[] {
  return Array.isArray(value);
}

function quoted(value: string): string {
  if (/^[\w.:/%+@!*-]+$/.test(value)) return value;
  return `"${value.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}"`;
}

/** On one line, whatever a path may hold. */
function comment(text: string): string {
  return `# ${text.replaceAll(/\p{Cc}/gu, '?')}`;
}
