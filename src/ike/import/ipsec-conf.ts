import { dirname, join } from 'node:path';
import { canonicalJson } from '../../json.ts';
import { inFolder, listCredentials } from './credential-folders.ts';
import type { Disk } from './disk.ts';
import type { ImportedAuthority, ImportedConfig, ImportedConnection, ImportedPool } from './imported.ts';
import { InputFiles } from './input-files.ts';
import { readConnection, type IpsecConnection, type IpsecContext } from './ipsec-connection.ts';
import { Inheritance } from './ipsec-inherit.ts';
import { IpsecKeywords } from './ipsec-keywords.ts';
import { readIpsecSecrets } from './ipsec-secrets.ts';
import { readSetup } from './ipsec-setup.ts';
import { readIpsecSections, type IpsecSection } from './ipsec-syntax.ts';
import { checkMediators } from './mediation-rules.ts';
import { Warnings } from './warnings.ts';

export interface IpsecOptions {
  readonly disk: Disk;
  /** By default the ipsec.secrets beside the file, if it is there. */
  readonly secretsPath?: string | undefined;
  /** Whether this machine has the address; by default it has none, and `left` is the local side. */
  readonly isLocalAddress?: ((address: string) => boolean) | undefined;
}

/**
 * Reads an ipsec.conf and what goes with it: the files that it includes, ipsec.secrets and the folder ipsec.d beside
 * it. Throws ImportError; what merely cannot be carried over becomes a warning.
 */
export function readIpsecConf(path: string, options: IpsecOptions): ImportedConfig {
  const { disk, isLocalAddress = () => false } = options;
  const warnings = new Warnings();
  const files = new InputFiles(disk, warnings);
  const sections = readIpsecSections(files.open(path), files, warnings);
  const credentialFolder = join(dirname(path), 'ipsec.d');
  const setup = readSetup(new IpsecKeywords(sections.setup.settings, warnings));
  const context = { setup, credentialFolder, isLocalAddress, warnings };
  const read = readConns(sections.conns, context);
  const authorities = readAuthorities(sections.cas, context);
  const secretsPath = options.secretsPath ?? join(dirname(path), 'ipsec.secrets');
  const secrets =
    options.secretsPath !== undefined || disk.isFile(secretsPath)
      ? readIpsecSecrets(secretsPath, { files, warnings, keyFolder: join(credentialFolder, 'private') })
      : [];
  const connections = sharedIkeSas(read, warnings);
  checkMediators(connections, ({ place }, message) => warnings.add(place, message));
  warnOfReauthentication(connections, warnings);
  return {
    source: 'ipsec',
    connections,
    credentials: [...listCredentials(disk, credentialFolder, 'ipsec'), ...secrets],
    authorities,
    pools: uniquePools(read.flatMap(({ pools }) => pools)),
    warnings: warnings.list(),
  };
}

function readConns(conns: ReadonlyMap<string, IpsecSection>, context: IpsecContext): readonly IpsecConnection[] {
  const inheritance = new Inheritance(conns);
  const templates = new Set([...conns.values()].flatMap(({ also }) => also.map(({ value }) => value)));
  const read: IpsecConnection[] = [];
  for (const [name, section] of conns) {
    if (name === '%default') continue;
    const settings = inheritance.settingsOf(section);
    if ((settings.get('auto')?.value ?? 'ignore') === 'ignore') {
      if (!templates.has(name)) {
        context.warnings.add(
          section.place,
          `conn ${name} is left out: strongSwan loads none without auto=add or start`,
        );
      }
      continue;
    }
    const connection = readConnection(name, section.place, new IpsecKeywords(settings, context.warnings), context);
    if (connection !== undefined) read.push(connection);
  }
  return read;
}

/**
 * Conns that differ only in their children are one connection, as in strongSwan (`stroke_config.c` add): as two, the
 * responder would find the second child under neither, and one IKE SA would replace the other.
 */
function sharedIkeSas(read: readonly IpsecConnection[], warnings: Warnings): readonly ImportedConnection[] {
  const byIke = new Map<string, ImportedConnection>();
  for (const { connection } of read) {
    const { ike, local, remote, mediation } = connection;
    const key = mediation.kind === 'mediation' ? connection.name : canonicalJson({ ike, local, remote, mediation });
    const first = byIke.get(key);
    if (first !== undefined) {
      warnings.add(
        connection.place,
        `conn ${connection.name} becomes a child of ${first.name}: both have the same IKE SA, as for strongSwan`,
      );
    }
    byIke.set(
      key,
      first === undefined ? connection : { ...first, children: [...first.children, ...connection.children] },
    );
  }
  return [...byIke.values()];
}

function warnOfReauthentication(connections: readonly ImportedConnection[], warnings: Warnings): void {
  const concerned = connections.filter(({ ike }) => ike.version !== 1 && (ike.reauthSeconds ?? 0) > 0);
  const [first] = concerned;
  if (first === undefined) return;
  const names = concerned.map(({ name }) => name).join(', ');
  warnings.add(
    first.place,
    `${names}: the IKE SA is torn down and set up again at the end of its lifetime (reauth=yes, the default of ` +
      'ipsec.conf); reauth=no rekeys it without an interruption',
  );
}

function readAuthorities(
  cas: ReadonlyMap<string, IpsecSection>,
  { credentialFolder, warnings }: IpsecContext,
): readonly ImportedAuthority[] {
  const inheritance = new Inheritance(cas);
  const authorities: ImportedAuthority[] = [];
  for (const [name, section] of cas) {
    if (name === '%default') continue;
    const keywords = new IpsecKeywords(inheritance.settingsOf(section), warnings);
    const written = keywords.text('cacert');
    const isLoaded = keywords.oneOf('auto', ['ignore', 'add', 'route', 'start'], 'ignore') !== 'ignore';
    const uris = (kind: string): readonly string[] =>
      [keywords.text(`${kind}uri`, `${kind}uri1`), keywords.text(`${kind}uri2`)].filter((uri) => uri !== undefined);
    const attributes = {
      crlUris: uris('crl'),
      ocspUris: uris('ocsp'),
      certificateUriBase: keywords.text('certuribase'),
    };
    keywords.finish();
    if (isLoaded && written !== undefined && !keywords.refused) {
      const file = inFolder(join(credentialFolder, 'cacerts'), written);
      authorities.push({ name, place: section.place, file, ...attributes });
    } else if (isLoaded) {
      warnings.add(section.place, `ca ${name} is left out, as by strongSwan: it has no usable cacert`);
    }
  }
  return authorities;
}

/** Conns with the same range share one pool; its attributes are those of all. */
function uniquePools(pools: readonly ImportedPool[]): readonly ImportedPool[] {
  const byName = new Map<string, ImportedPool>();
  for (const pool of pools) {
    const known = byName.get(pool.name);
    const dns = [...new Set([...(known?.attributes['dns'] ?? []), ...(pool.attributes['dns'] ?? [])])];
    byName.set(pool.name, { ...(known ?? pool), attributes: dns.length > 0 ? { dns } : {} });
  }
  return [...byName.values()];
}
