import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { AGENT_SOCKET_DEFAULT, READ_SOCKET_NAME } from '../agent/api.ts';
import { packageVersion } from '../version.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { enrollCommand } from './agentctl-enroll.ts';
import { eventsCommand } from './agentctl-events.ts';
import { importCommand } from './agentctl-import.ts';
import { renewCommand } from './agentctl-renew.ts';
import { pathsCommand } from './agentctl-paths.ts';
import { pingCommand } from './agentctl-ping.ts';
import { netCheckCommand } from './agentctl-netcheck.ts';
import { reconnectCommand } from './agentctl-reconnect.ts';
import { statusCommand } from './agentctl-status.ts';
import { LocalApi } from './local-api.ts';
import { runProgram } from './run-program.ts';
import type { Terminal } from './terminal.ts';

/** Runs agentctl; resolves to the exit code. */
export async function agentctl(args: readonly string[], terminal: Terminal): Promise<number> {
  const program = new Command('agentctl')
    .description('Shows and enrols the Cygnet agent of this node.')
    .option(
      '--socket <path>',
      "the agent's socket; when it may not be opened, read.sock beside it",
      AGENT_SOCKET_DEFAULT,
    )
    .version(packageVersion(), '-V, --version', 'print the version of agentctl');
  const socketPath = (): string => program.opts<{ socket: string }>().socket;
  const context: AgentctlContext = {
    terminal,
    api: () =>
      new LocalApi({
        socketPath: socketPath(),
        readSocketPath: join(dirname(socketPath()), READ_SOCKET_NAME),
        service: 'cygnet-agent',
        timeoutMs: 40_000,
      }),
  };
  program
    .addCommand(statusCommand(context))
    .addCommand(enrollCommand(context))
    .addCommand(renewCommand(context))
    .addCommand(pathsCommand(context))
    .addCommand(pingCommand(context))
    .addCommand(reconnectCommand(context))
    .addCommand(eventsCommand(context))
    .addCommand(netCheckCommand(context))
    .addCommand(importCommand(context))
    .addCommand(versionCommand(context));
  return await runProgram(program, args, terminal);
}

function versionCommand({ terminal }: AgentctlContext): Command {
  return new Command('version')
    .description('print the version of agentctl')
    .option('--json', 'as JSON')
    .action(({ json }: { readonly json?: true }) => {
      const version = packageVersion();
      terminal.out(json ? `${JSON.stringify({ version })}\n` : `${version}\n`);
    });
}
