import type { Readable } from 'node:stream';
import { Command, Option } from 'commander';
import type { Clock } from '../clock.ts';
import { COORDINATOR_SOCKET_DEFAULT } from '../coordinator/api.ts';
import { packageVersion } from '../version.ts';
import { CliError } from './cli-error.ts';
import { LocalApi } from './local-api.ts';
import { apiTokenCommand } from './meshctl-api-token.ts';
import { applyCommand } from './meshctl-apply.ts';
import { auditCommand } from './meshctl-audit.ts';
import { backupCommand } from './meshctl-backup.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { eventsCommand } from './meshctl-events.ts';
import { linksCommand } from './meshctl-links.ts';
import { nodeCommand } from './meshctl-node.ts';
import { nodesCommand } from './meshctl-nodes.ts';
import { signCommand } from './meshctl-sign.ts';
import { signingKeyCommand } from './meshctl-signing-key.ts';
import { tokenCommand } from './meshctl-token.ts';
import { versionCommand } from './meshctl-version.ts';
import { remoteApiOf } from './remote-api.ts';
import { runProgram } from './run-program.ts';
import type { Terminal } from './terminal.ts';

export interface MeshctlDeps {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly stdin: Readable;
}

/** Runs meshctl; resolves to the exit code. */
export async function meshctl(args: readonly string[], deps: MeshctlDeps): Promise<number> {
  const program = new Command('meshctl')
    .description('Tells the Cygnet coordinator on this machine what the mesh should look like, and shows how it does.')
    .option('--socket <path>', "the coordinator's socket, on its own machine", COORDINATOR_SOCKET_DEFAULT)
    .addOption(
      new Option('--server <url>', 'a coordinator elsewhere: https://HOST:PORT of the api in its configuration').env(
        'CYGNET_SERVER',
      ),
    )
    .addOption(
      new Option('--token-file <file>', 'with --server: the file with your API token').env('CYGNET_TOKEN_FILE'),
    )
    .version(packageVersion(), '-V, --version', 'print the version of meshctl');
  const context: MeshctlContext = {
    ...deps,
    api: () => apiOf(program),
  };
  program
    .addCommand(applyCommand(context))
    .addCommand(tokenCommand(context))
    .addCommand(signCommand(context))
    .addCommand(signingKeyCommand(context))
    .addCommand(apiTokenCommand(context))
    .addCommand(auditCommand(context))
    .addCommand(nodesCommand(context))
    .addCommand(nodeCommand(context))
    .addCommand(linksCommand(context))
    .addCommand(eventsCommand(context))
    .addCommand(backupCommand(context))
    .addCommand(versionCommand(context));
  return await runProgram(program, args, deps.terminal);
}

/** The coordinator that the user named, or the one of this machine. */
function apiOf(program: Command): LocalApi {
  const { socket, server, tokenFile } = program.opts<{ socket: string; server?: string; tokenFile?: string }>();
  const service = 'cygnet-coordinator';
  const isSocketNamed = program.getOptionValueSource('socket') === 'cli';
  if (server === undefined || (isSocketNamed && program.getOptionValueSource('server') === 'env')) {
    return new LocalApi({ socketPath: socket, service });
  }
  if (isSocketNamed) throw new CliError('bad-input', '--socket and --server: one of the two');
  return new LocalApi({ remote: remoteApiOf(server, tokenFile), service });
}
