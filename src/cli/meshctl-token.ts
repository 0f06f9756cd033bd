import { Command } from 'commander';
import { TOKEN_TTL_SECONDS, tokenReplySchema, type TokenReply } from '../coordinator/api.ts';
import { parseDurationSeconds } from '../duration.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';

export function tokenCommand(context: MeshctlContext): Command {
  return new Command('token')
    .description('enrolment tokens, which let a node into the mesh')
    .addCommand(createCommand(context));
}

function createCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('create')
    .description('make a token for one node and print it; it is good for one use, and is not shown again')
    .argument('<node>', 'name of the node')
    .option('--ttl <duration>', 'how long the token can be used: 30m, 24h, 7d', '24h')
    .option('--json', 'as JSON')
    .action(async (node: string, { ttl, json }: { readonly ttl: string; readonly json?: true }) => {
      const body = { contentType: 'application/json', text: JSON.stringify({ node, ttlSeconds: secondsOf(ttl) }) };
      const reply = await api().send('POST', '/v1/tokens', tokenReplySchema, body);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : `${reply.token}\n`);
      terminal.err(hints(reply));
    });
}

function secondsOf(ttl: string): number {
  const seconds = parseDurationSeconds(ttl);
  const { min, max } = TOKEN_TTL_SECONDS;
  if (seconds !== undefined && seconds >= min && seconds <= max) return seconds;
  throw new CliError('bad-input', `--ttl ${ttl}: must be a duration from 1m to 30d, such as 24h`);
}

/** On standard error, so that the token alone can be piped. */
function hints({ node, expiresAtMs, inSpec }: TokenReply): string {
  const lines = [
    `good until ${new Date(expiresAtMs).toISOString()}, for one use; on ${node} run: agentctl enroll`,
    ...(inSpec ? [] : [`the mesh spec has no node "${node}" yet: until it has, ${node} is told nothing`]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
