import { dirname, basename } from 'node:path';
import type { Disk } from '../../../src/ike/import/disk.ts';
import { ImportError } from '../../../src/ike/import/import-error.ts';
import { readConfig, type ReadConfigOptions } from '../../../src/ike/import/read-config.ts';
import type { ImportedConfig, ImportedConnection } from '../../../src/ike/import/imported.ts';

/** Files by their absolute paths. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

export function memoryDisk(files: Files): Disk {
  const paths = Object.keys(files);
  return {
    read: (path, bytesMax) => {
      const content = files[path];
      if (content === undefined) throw new ImportError('cannot-read', path, 'there is no such file');
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      if (bytes.length > bytesMax) throw new ImportError('too-much', path, 'too large');
      return bytes;
    },
    list: (folder) =>
      paths
        .filter((path) => dirname(path) === folder)
        .map((path) => basename(path))
        .sort(),
    isFile: (path) => files[path] !== undefined,
  };
}

export const IPSEC = '/etc/ipsec.conf';
export const SWANCTL = '/etc/swanctl/swanctl.conf';

/** Reads an ipsec.conf with these lines, and other files beside it. */
export function ipsec(text: string, files: Files = {}, options: Partial<ReadConfigOptions> = {}): ImportedConfig {
  return readConfig(IPSEC, { source: 'ipsec', ...options, disk: memoryDisk({ ...files, [IPSEC]: text }) });
}

export function swanctl(text: string, files: Files = {}): ImportedConfig {
  return readConfig(SWANCTL, { source: 'swanctl', disk: memoryDisk({ ...files, [SWANCTL]: text }) });
}

/** The one connection of a configuration. */
export function only(config: ImportedConfig): ImportedConnection {
  const [connection, ...more] = config.connections;
  if (connection === undefined || more.length > 0) {
    throw new Error(`${config.connections.length} connections; warnings: ${messages(config).join('\n')}`);
  }
  return connection;
}

/** `LINE: MESSAGE` of each warning of the main file; others with their file. */
export function messages({ warnings }: Pick<ImportedConfig, 'warnings'>): readonly string[] {
  return warnings.map(({ file, line, message }) =>
    file === IPSEC || file === SWANCTL ? `${line}: ${message}` : `${file}:${line}: ${message}`,
  );
}

/** The warnings, without the one about reauthentication that nearly every conn has. */
export function otherMessages(config: ImportedConfig): readonly string[] {
  return messages(config).filter((message) => !message.includes('reauth=no rekeys it'));
}

/** What reading throws; fails when it does not. */
export function importErrorOf(read: () => unknown): ImportError {
  try {
    read();
  } catch (error) {
    if (error instanceof ImportError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
