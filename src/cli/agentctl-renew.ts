import { Command } from 'commander';
import { renewResultSchema } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';

export function renewCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('renew')
    .description("renew this node's certificates now, with new keys; tunnels stay (they are renewed by themselves too)")
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const result = await api().send('POST', '/v1/renew', renewResultSchema);
      const lines = result.certificates.map(({ purpose, notAfterMs }) => {
        return `${purpose === 'ike' ? 'IKE' : purpose} certificate renewed, valid until ${new Date(notAfterMs).toISOString()}\n`;
      });
      terminal.out(json ? `${JSON.stringify(result)}\n` : lines.join(''));
    });
}
