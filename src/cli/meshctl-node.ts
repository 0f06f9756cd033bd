import { Command } from 'commander';
import { revocationReplySchema, type RevocationReply } from '../coordinator/api.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { unsignedLine } from './unsigned-line.ts';
import { jsonBody } from './local-api.ts';

export function nodeCommand(context: MeshctlContext): Command {
  return new Command('node')
    .description('throw a node out of the mesh, or let it in again')
    .addCommand(revokeCommand(context))
    .addCommand(readmitCommand(context));
}

function revokeCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('revoke')
    .description(
      'throw a node out at once, whatever the mesh spec says: its control channel and all tunnels to it end, and none of its keys is ever accepted again',
    )
    .argument('<node>', 'name of the node')
    .option('--reason <text>', 'why, for meshctl nodes')
    .option('--json', 'as JSON')
    .action(async (node: string, { reason, json }: { readonly reason?: string; readonly json?: true }) => {
      const body = jsonBody({ node, reason: reason ?? null });
      const reply = await api().send('POST', '/v1/nodes/revoke', revocationReplySchema, body);
      const done = reply.changed ? `${node} is revoked` : `${node} was revoked before`;
      terminal.out(textOf(reply, json, `${done}; to let it in again: meshctl node readmit ${node}`));
    });
}

function readmitCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('readmit')
    .description('let a revoked node enrol again, with a new token and new keys')
    .argument('<node>', 'name of the node')
    .option('--json', 'as JSON')
    .action(async (node: string, { json }: { readonly json?: true }) => {
      const body = jsonBody({ node });
      const reply = await api().send('POST', '/v1/nodes/readmit', revocationReplySchema, body);
      const next = `run: meshctl token create ${node}; then on ${node}: agentctl enroll --again`;
      terminal.out(textOf(reply, json, reply.changed ? `${node} may enrol again; ${next}` : `${node} is not revoked`));
    });
}

function textOf(reply: RevocationReply, json: true | undefined, words: string): string {
  return json ? `${JSON.stringify(reply)}\n` : `${words}\n${unsignedLine(reply)}`;
}
