import type { Disk } from './disk.ts';
import { ImportError } from './import-error.ts';
import type { ImportedConfig } from './imported.ts';
import { InputFiles } from './input-files.ts';
import { readIpsecConf } from './ipsec-conf.ts';
import { recogniseSource, type ImportSource } from './recognise.ts';
import { readSwanctlConf } from './swanctl-conf.ts';
import { Warnings } from './warnings.ts';

export interface ReadConfigOptions {
  readonly disk: Disk;
  /** By default recognised by the content. */
  readonly source?: ImportSource | undefined;
  /** Another ipsec.secrets than the one beside the file. */
  readonly secretsPath?: string | undefined;
  /** Whether this machine has the address; for telling which end of a conn is the local one. */
  readonly isLocalAddress?: ((address: string) => boolean) | undefined;
}

/**
 * Reads an ipsec.conf or a swanctl.conf, absolute path, with all that belongs to it, into connections in our terms.
 * Only reads. Throws ImportError; what cannot be carried over is in the result's warnings.
 */
export function readConfig(path: string, options: ReadConfigOptions): ImportedConfig {
  const source = options.source ?? sourceOf(path, options.disk);
  if (source === 'ipsec') return readIpsecConf(path, options);
  if (options.secretsPath === undefined) return readSwanctlConf(path, options);
  throw new ImportError(
    'not-recognised',
    path,
    'secrets of a swanctl.conf are in the file itself, not in one of their own',
  );
}

function sourceOf(path: string, disk: Disk): ImportSource {
  const { text } = new InputFiles(disk, new Warnings()).open(path);
  const source = recogniseSource(path, text);
  if (source !== undefined) return source;
  throw new ImportError(
    'not-recognised',
    path,
    'neither an ipsec.conf (conn NAME) nor a swanctl.conf (connections { })',
  );
}
