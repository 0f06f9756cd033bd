import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { nodeDisk } from '../ike/import/disk.ts';
import { formatPlace, ImportError } from '../ike/import/import-error.ts';
import type { ImportedConfig } from '../ike/import/imported.ts';
import { initiations } from '../ike/import/load-commands.ts';
import { readConfig } from '../ike/import/read-config.ts';
import { IMPORT_SOURCES, type ImportSource } from '../ike/import/recognise.ts';
import { formatSwanctlConf } from '../ike/import/swanctl-text.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { renderImport } from './import-report.ts';
import { printable } from './style.ts';

interface ImportFlags {
  readonly secrets?: string;
  readonly from?: ImportSource;
  readonly format: 'text' | 'swanctl';
  readonly json?: true;
}

const HELP = `
Reads only: nothing is loaded into charon, and no file is changed. Secrets are never printed.
Warnings (standard error, or "warnings" in JSON) name all that does not come over as written, and what to do instead.

  agentctl import /etc/ipsec.conf
  agentctl import /etc/ipsec.conf --format swanctl > /etc/swanctl/conf.d/imported.conf
  agentctl import /etc/swanctl/swanctl.conf --json

Exit code 2 when a file cannot be read or makes no sense; the message has the file and the line.`;

export function importCommand({ terminal }: AgentctlContext): Command {
  return new Command('import')
    .description('show what an ipsec.conf or swanctl.conf means, in the words of Cygnet or as a swanctl.conf')
    .argument('<file>', 'ipsec.conf (with ipsec.secrets and ipsec.d beside it) or swanctl.conf')
    .option('--secrets <file>', 'another ipsec.secrets than the one beside the file')
    .addOption(new Option('--from <kind>', 'what the file is; by default its content tells').choices(IMPORT_SOURCES))
    .addOption(
      new Option('--format <format>', 'a summary, or a swanctl.conf to load by hand')
        .choices(['text', 'swanctl'])
        .default('text'),
    )
    .addOption(new Option('--json', 'as JSON').conflicts('format'))
    .addHelpText('after', HELP)
    .action((file: string, flags: ImportFlags) => {
      const config = read(file, flags);
      if (flags.json) return terminal.out(`${JSON.stringify({ ...config, initiations: initiations(config) })}\n`);
      terminal.out(flags.format === 'swanctl' ? formatSwanctlConf(config) : renderImport(config, terminal.style));
      return terminal.err(
        config.warnings.map((warning) => warningLine(formatPlace(warning), warning.message)).join(''),
      );
    });
}

function read(file: string, { secrets, from }: ImportFlags): ImportedConfig {
  const addresses = localAddresses();
  try {
    return readConfig(resolve(file), {
      disk: nodeDisk,
      source: from,
      secretsPath: secrets === undefined ? undefined : resolve(secrets),
      isLocalAddress: (address) => addresses.has(address),
    });
  } catch (cause) {
    if (!(cause instanceof ImportError)) throw cause;
    throw new CliError('bad-input', `${formatPlace(cause.where)}: ${cause.detail}`, { cause });
  }
}

/** strongSwan takes the end of a conn that has an address of this machine for the local one. */
function localAddresses(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)));
}

function warningLine(where: string, message: string): string {
  return `${printable(`${where}: warning: ${message}`)}\n`;
}
