import { dirname, join } from 'node:path';
import { inFolder } from './credential-folders.ts';
import type { Disk } from './disk.ts';
import type { ImportedAuthority, ImportedConfig, ImportedPool } from './imported.ts';
import { InputFiles } from './input-files.ts';
import { checkMediators } from './mediation-rules.ts';
import { splitList } from './options.ts';
import { SettingsTree, type FlatSection } from './settings-references.ts';
import { readSettings } from './settings-syntax.ts';
import { readSwanctlConnection, type SwanctlContext } from './swanctl-connection.ts';
import { readSwanctlCredentials } from './swanctl-secrets.ts';
import { SwanctlKeys } from './swanctl-keys.ts';
import { Warnings } from './warnings.ts';

export interface SwanctlOptions {
  readonly disk: Disk;
}

/**
 * Reads a swanctl.conf and what goes with it: the files that it includes and the folders of certificates and keys
 * beside it. Throws ImportError; what merely cannot be carried over becomes a warning.
 */
export function readSwanctlConf(path: string, { disk }: SwanctlOptions): ImportedConfig {
  const warnings = new Warnings();
  const files = new InputFiles(disk, warnings);
  const tree = new SettingsTree(readSettings(files.open(path), files, warnings), warnings);
  const context = { folder: dirname(path), warnings };
  const connections = tree
    .sectionsOf('connections')
    .map((section) => readSwanctlConnection(section, context))
    .filter((connection) => connection !== undefined);
  checkMediators(connections, ({ place }, message) => warnings.add(place, message));
  const credentials = readSwanctlCredentials(tree.sectionsOf('secrets'), { ...context, disk });
  const read = <T>(name: string, reader: (section: FlatSection, context: SwanctlContext) => T | undefined): T[] =>
    tree
      .sectionsOf(name)
      .map((section) => reader(section, context))
      .filter((item) => item !== undefined);
  return {
    source: 'swanctl',
    connections,
    credentials,
    authorities: read('authorities', readAuthority),
    pools: read('pools', readPool),
    warnings: warnings.list(),
  };
}

function readAuthority(section: FlatSection, context: SwanctlContext): ImportedAuthority | undefined {
  const { name, place } = section;
  const keys = new SwanctlKeys(section, context.warnings);
  const file = keys.take('cacert') ?? keys.take('file');
  const crlUris = splitList(keys.take('crl_uris') ?? '');
  const ocspUris = splitList(keys.take('ocsp_uris') ?? '');
  const certificateUriBase = keys.take('cert_uri_base');
  keys.warnOfTokens();
  keys.refuseRest();
  if (file !== undefined && !keys.refused) {
    const path = inFolder(join(context.folder, 'x509ca'), file);
    return { name, place, file: path, crlUris, ocspUris, certificateUriBase };
  }
  context.warnings.add(place, `authority ${name} is left out: it has no usable certificate`);
  return undefined;
}

function readPool(section: FlatSection, { warnings }: SwanctlContext): ImportedPool | undefined {
  const { name, place } = section;
  const keys = new SwanctlKeys(section, warnings);
  const addresses = keys.take('addrs');
  const attributes = Object.fromEntries(keys.takeRest().map(([key, value]) => [key, splitList(value)]));
  if (addresses !== undefined) return { name, place, addresses, attributes };
  warnings.add(place, `pool ${name} is left out, as by charon: it has no addrs`);
  return undefined;
}
