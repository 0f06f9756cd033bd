import { Command } from 'commander';
import { enrollResultSchema, type EnrollCommand } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { readToken, type TokenSource } from './enrolment-token.ts';
import { printable } from './style.ts';
import { jsonBody } from './local-api.ts';

interface EnrollOptions extends TokenSource {
  readonly coordinator: string;
  readonly name?: string;
  readonly again?: true;
  readonly json?: true;
}

export function enrollCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('enroll')
    .description('join a mesh with a token of `meshctl token create`')
    .requiredOption('--coordinator <url>', 'https://HOST:PORT of the coordinator')
    .option(
      '--token-file <file>',
      'file that holds the token; - for standard input (never an argument: those are public)',
    )
    .option('--token-credential <name>', 'credential of systemd that holds the token, below $CREDENTIALS_DIRECTORY')
    .option('--name <node>', 'what this node is called in the mesh spec; a token that is for a group needs it')
    .option('--again', 'replace the enrolment that is there: new keys, also for another coordinator')
    .option('--json', 'as JSON')
    .action(async (options: EnrollOptions) => {
      const coordinator = coordinatorUrl(options.coordinator);
      const { token, warning } = readToken(options, process.env);
      if (warning !== undefined) terminal.err(`${printable(`warning: ${warning}`)}\n`);
      const body: EnrollCommand = {
        coordinator,
        token,
        ...(options.name !== undefined && { name: options.name }),
        ...(options.again && { again: true }),
      };
      const request = jsonBody(body);
      const result = await api().send('POST', '/v1/enroll', enrollResultSchema, request);
      terminal.out(
        options.json ? `${JSON.stringify(result)}\n` : `enrolled as ${result.node} in mesh ${result.mesh}\n`,
      );
    });
}

function coordinatorUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' || `${url.origin}/` !== url.href) {
    throw new CliError('bad-input', `--coordinator: must be https://HOST:PORT, not "${text}"`);
  }
  return url.origin;
}
