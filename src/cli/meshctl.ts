import type { Readable } from 'node:stream';
import { Command } from 'commander';
import type { Clock } from '../clock.ts';
import { COORDINATOR_SOCKET_DEFAULT } from '../coordinator/api.ts';
import { packageVersion } from '../version.ts';
import { LocalApi } from './local-api.ts';
import { applyCommand } from './meshctl-apply.ts';
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
    .option('--socket <path>', "the coordinator's socket", COORDINATOR_SOCKET_DEFAULT)
    .version(packageVersion(), '-V, --version', 'print the version of meshctl');
  const context: MeshctlContext = {
    ...deps,
    api: () => new LocalApi({ socketPath: program.opts<{ socket: string }>().socket, service: 'cygnet-coordinator' }),
  };
  program
    .addCommand(applyCommand(context))
    .addCommand(tokenCommand(context))
    .addCommand(signCommand(context))
    .addCommand(signingKeyCommand(context))
    .addCommand(nodesCommand(context))
    .addCommand(nodeCommand(context))
    .addCommand(linksCommand(context))
    .addCommand(eventsCommand(context))
    .addCommand(backupCommand(context))
    .addCommand(versionCommand(context));
  return await runProgram(program, args, deps.terminal);
}
