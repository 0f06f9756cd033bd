import { Command } from 'commander';
import {
  API_TOKEN_TTL_SECONDS,
  apiTokenReplySchema,
  apiTokensReplySchema,
  apiTokenViewSchema,
  ROLES,
  type ApiTokenReply,
  type ApiTokenView,
} from '../coordinator/api.ts';
import { formatAge } from './age.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { ttlSeconds } from './ttl-option.ts';
import { jsonBody } from './local-api.ts';

const HEADINGS = ['NAME', 'ROLE', 'STATE', 'EXPIRES', 'LAST USED'];

interface CreateFlags {
  readonly role: string;
  readonly ttl: string;
  readonly json?: true;
}

export function apiTokenCommand(context: MeshctlContext): Command {
  return new Command('api-token')
    .description('tokens with which operators use meshctl on other machines')
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));
}

function createCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('create')
    .description('make a token and print it; it is not shown again')
    .argument('<name>', 'whoever or whatever it is for; the audit log shows it')
    .requiredOption('--role <role>', `what it may do: ${ROLES.join(', ')}; each may also do what those before it may`)
    .option('--ttl <duration>', 'how long it can be used: 30m, 24h, 90d', '90d')
    .option('--json', 'as JSON')
    .action(async (name: string, { role, ttl, json }: CreateFlags) => {
      const order = {
        name,
        role: roleOf(role),
        ttlSeconds: ttlSeconds(ttl, API_TOKEN_TTL_SECONDS, '1m to 366d, such as 90d'),
      };
      const body = jsonBody(order);
      const reply = await api().send('POST', '/v1/api-tokens', apiTokenReplySchema, body);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : `${reply.token}\n`);
      terminal.err(hint(reply));
    });
}

function listCommand({ terminal, clock, api }: MeshctlContext): Command {
  return new Command('list')
    .description('the tokens, never the token itself; those that can no longer be used for 30 days')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const reply = await api().get('/v1/api-tokens', apiTokensReplySchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderTokens(reply.tokens, clock.nowMs(), terminal.style));
    });
}

function revokeCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('revoke')
    .description('make a token useless from now on')
    .argument('<name>', 'the name that meshctl api-token list shows')
    .option('--json', 'as JSON')
    .action(async (name: string, { json }: { readonly json?: true }) => {
      const query = new URLSearchParams({ name });
      const reply = await api().send('DELETE', `/v1/api-tokens?${query.toString()}`, apiTokenViewSchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : `API token ${reply.name} is revoked\n`);
    });
}

function roleOf(role: string): string {
  if (ROLES.some((known) => known === role)) return role;
  throw new CliError('bad-input', `--role ${role}: must be one of ${ROLES.join(', ')}`);
}

/** On standard error, so that the token alone can be piped. */
function hint({ role, expiresAtMs }: ApiTokenReply): string {
  return `${role} until ${new Date(expiresAtMs).toISOString()}; use it with: meshctl --server https://HOST:PORT --token-file FILE\n`;
}

function renderTokens(tokens: readonly ApiTokenView[], nowMs: number, style: Style): string {
  if (tokens.length === 0) return 'no API tokens: meshctl api-token create NAME --role ROLE makes one\n';
  return renderTable(
    HEADINGS,
    tokens.map(({ name, role, state, expiresAtMs, lastUsedAtMs }) => ({
      cells: [
        name,
        role,
        { text: state, paint: state === 'usable' ? style.good : style.dim },
        state === 'usable' ? `in ${formatAge((expiresAtMs - nowMs) / 1000)}` : '-',
        lastUsedAtMs === null ? 'never' : `${formatAge((nowMs - lastUsedAtMs) / 1000)} ago`,
      ],
    })),
  );
}
