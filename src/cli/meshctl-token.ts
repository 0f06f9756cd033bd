import { Command } from 'commander';
import {
  TOKEN_TTL_SECONDS,
  TOKEN_USES_MAX,
  tokenReplySchema,
  tokenRevokedSchema,
  tokensReplySchema,
  type TokenReply,
  type TokenView,
} from '../coordinator/api.ts';
import { formatAge } from './age.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { ttlSeconds } from './ttl-option.ts';
import { jsonBody } from './local-api.ts';

const HEADINGS = ['ID', 'FOR', 'USES LEFT', 'EXPIRES', 'STATE'];

interface CreateFlags {
  readonly group?: string;
  readonly uses?: string;
  readonly ttl: string;
  readonly json?: true;
}

export function tokenCommand(context: MeshctlContext): Command {
  return new Command('token')
    .description('enrolment tokens, which let nodes into the mesh')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));
}

function createCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('create')
    .description('make a token and print it; it is not shown again')
    .argument('[node]', 'name of the node that it lets in, once')
    .option('--group <group>', 'instead of one node: any node of this group of the mesh spec that has not enrolled yet')
    .option('--uses <n>', 'how many nodes of the group it lets in', '1')
    .option('--ttl <duration>', 'how long the token can be used: 30m, 24h, 7d', '24h')
    .option('--json', 'as JSON')
    .action(async (node: string | undefined, flags: CreateFlags, command: Command) => {
      const seconds = ttlSeconds(flags.ttl, TOKEN_TTL_SECONDS, '1m to 30d, such as 24h');
      const order = { ...subjectOf(node, flags, command), ttlSeconds: seconds };
      const body = jsonBody(order);
      const reply = await api().send('POST', '/v1/tokens', tokenReplySchema, body);
      terminal.out(flags.json ? `${JSON.stringify(reply)}\n` : `${reply.token}\n`);
      terminal.err(hints(reply));
    });
}

function listCommand({ terminal, clock, api }: MeshctlContext): Command {
  return new Command('list')
    .description('the tokens that have not expired: whom they are for and what is left of them, never the token itself')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const reply = await api().get('/v1/tokens', tokensReplySchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderTokens(reply.tokens, clock.nowMs(), terminal.style));
    });
}

function revokeCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('revoke')
    .description('make a token useless; nodes that it has let in stay')
    .argument('<id>', 'the id that meshctl token list shows')
    .option('--json', 'as JSON')
    .action(async (id: string, { json }: { readonly json?: true }) => {
      const query = new URLSearchParams({ id });
      const reply = await api().send('DELETE', `/v1/tokens?${query.toString()}`, tokenRevokedSchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : `token ${reply.id} is revoked\n`);
    });
}

function subjectOf(node: string | undefined, { group, uses = '1' }: CreateFlags, command: Command): object {
  if ((node === undefined) === (group === undefined)) {
    throw new CliError('bad-input', 'say whom the token is for: the name of a node, or --group GROUP');
  }
  if (group === undefined) {
    if (command.getOptionValueSource('uses') === 'cli') {
      throw new CliError('bad-input', '--uses: only with --group; a token for a node is good for one use');
    }
    return { node };
  }
  const count = /^\d{1,9}$/.test(uses) ? Number(uses) : 0;
  if (count < 1 || count > TOKEN_USES_MAX) {
    throw new CliError('bad-input', `--uses ${uses}: must be a number from 1 to ${TOKEN_USES_MAX}`);
  }
  return { group, uses: count };
}

/** On standard error, so that the token alone can be piped. */
function hints({ id, node, group, uses, expiresAtMs, inSpec }: TokenReply): string {
  const until = `token ${id}: good until ${new Date(expiresAtMs).toISOString()}`;
  const lines =
    node === null
      ? [
          `${until}, for ${uses} ${uses === 1 ? 'use' : 'uses'}; on a node of the group run: agentctl enroll --name NODE`,
          ...(inSpec
            ? []
            : [`the mesh spec has no node in the group "${group ?? ''}" yet: until it has, nobody is let in`]),
        ]
      : [
          `${until}, for one use; on ${node} run: agentctl enroll`,
          ...(inSpec ? [] : [`the mesh spec has no node "${node}" yet: until it has, ${node} is told nothing`]),
        ];
  return lines.map((line) => `${line}\n`).join('');
}

function renderTokens(tokens: readonly TokenView[], nowMs: number, style: Style): string {
  if (tokens.length === 0) return 'no tokens: meshctl token create NODE makes one\n';
  return renderTable(
    HEADINGS,
    tokens.map(({ id, node, group, uses, usesLeft, expiresAtMs, state }) => ({
      cells: [
        id,
        node === null ? `group ${group ?? ''}` : `node ${node}`,
        `${usesLeft} of ${uses}`,
        `in ${formatAge((expiresAtMs - nowMs) / 1000)}`,
        { text: state, paint: state === 'usable' ? style.good : style.dim },
      ],
    })),
  );
}
