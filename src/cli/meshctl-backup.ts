import { existsSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { syncToDisk } from '../durable-file.ts';
import { messageOf } from '../errors.ts';
import { CliError } from './cli-error.ts';
import type { LocalApi } from './local-api.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { printable } from './style.ts';

interface BackupFlags {
  readonly withKeys?: true;
  readonly json?: true;
}

export function backupCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('backup')
    .description('write a copy of all that the coordinator keeps to a file, while it is running; see docs/backup.md')
    .argument('<file>', 'a file that is not there yet; only you will be able to read it')
    .option('--with-keys', 'with the keys of the mesh: whoever has the file can then let nodes in')
    .option('--json', 'as JSON')
    .action(async (file: string, { withKeys, json }: BackupFlags) => {
      const path = resolve(file);
      if (existsSync(path)) throw new CliError('bad-input', `${file} is there already; nothing was written`);
      const bytes = await save(api(), `/v1/backup?keys=${withKeys === true}`, path);
      const result = { file: path, bytes, withKeys: withKeys === true };
      const text = `${printable(path)}: ${bytes} bytes, ${withKeys ? 'with the keys of the mesh' : 'without keys'}\n`;
      terminal.out(json ? `${JSON.stringify(result)}\n` : text);
    });
}

/** Under its name the file is complete and on disk. Resolves to its length. */
async function save(api: LocalApi, source: string, path: string): Promise<number> {
  const temporary = `${path}.part`;
  let bytes = 0;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      for await (const chunk of api.download(source)) {
        await file.writeFile(chunk);
        bytes += chunk.byteLength;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    renameSync(temporary, path);
    syncToDisk(dirname(path));
    return bytes;
  } catch (error) {
    rmSync(temporary, { force: true });
    if (error instanceof CliError) throw error;
    throw new CliError('bad-input', `${printable(path)}: ${messageOf(error)}`, { cause: error });
  }
}
