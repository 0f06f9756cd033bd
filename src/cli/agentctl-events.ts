import { Command } from 'commander';
import type { z } from 'zod';
import { agentEventSchema } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { printable } from './style.ts';

export function eventsCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('events')
    .description('what happened on this node: SAs up, down and rekeyed, paths, steps of the agent')
    .option('-f, --follow', 'go on with new events until interrupted')
    .option('--json', 'one JSON object per line')
    .action(async ({ follow, json }: { readonly follow?: true; readonly json?: true }) => {
      const path = follow ? '/v1/events?follow=true' : '/v1/events';
      for await (const event of api().stream(path, agentEventSchema)) {
        terminal.out(json ? `${JSON.stringify(event)}\n` : eventLine(event));
      }
    });
}

function eventLine(event: z.output<typeof agentEventSchema>): string {
  const subject = [event.connection, event.child].filter((part) => part !== null).join('/');
  return `${printable(`${new Date(event.atMs).toISOString()}  ${event.kind.padEnd(11)}  ${subject}${subject === '' ? '' : '  '}${event.message}`)}\n`;
}
