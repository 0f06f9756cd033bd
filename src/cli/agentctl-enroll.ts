import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { enrollResultSchema } from '../agent/api.ts';
import { messageOf } from '../errors.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';

interface EnrollOptions {
  readonly coordinator: string;
  readonly tokenFile: string;
  readonly again?: true;
  readonly json?: true;
}

/** A token is a line of about 100 characters. */
const TOKEN_CHARACTERS_MAX = 512;

export function enrollCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('enroll')
    .description('join a mesh with a one-time token of `meshctl token create`')
    .requiredOption('--coordinator <url>', 'https://HOST:PORT of the coordinator')
    .requiredOption(
      '--token-file <file>',
      'file that holds the token; - for standard input (never an argument: those are public)',
    )
    .option('--again', 'replace the enrolment that is there: new keys, also for another coordinator')
    .option('--json', 'as JSON')
    .action(async (options: EnrollOptions) => {
      const body = {
        coordinator: coordinatorUrl(options.coordinator),
        token: tokenFrom(options.tokenFile),
        ...(options.again && { again: true }),
      };
      const request = { contentType: 'application/json', text: JSON.stringify(body) };
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

function tokenFrom(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (cause) {
    throw new CliError('bad-input', `--token-file: ${messageOf(cause)}`, { cause });
  }
  if (text === '' || text.length > TOKEN_CHARACTERS_MAX || /\s/.test(text)) {
    throw new CliError(
      'bad-input',
      `--token-file: ${file === '-' ? 'standard input' : file} holds no token (one line of "meshctl token create NODE")`,
    );
  }
  return text;
}
