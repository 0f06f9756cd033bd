import { Command } from 'commander';
import { meshEventSchema, type MeshEvent } from '../coordinator/api.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { printable } from './style.ts';

interface EventFlags {
  readonly follow?: true;
  readonly since?: string;
  readonly json?: true;
}

export function eventsCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('events')
    .description('what happened in the mesh: SAs up, down and rekeyed, paths, channels, applies; the newest 200')
    .option('-f, --follow', 'go on with new events until interrupted')
    .option('--since <id>', 'all events after the one with this id; 0 for all that are kept')
    .option('--json', 'one JSON object per line')
    .action(async ({ follow, since, json }: EventFlags) => {
      if (since !== undefined && !/^\d{1,15}$/.test(since)) {
        throw new CliError('bad-input', `--since ${since}: must be the id of an event, a number`);
      }
      const query = new URLSearchParams({ follow: String(follow ?? false), ...(since !== undefined && { since }) });
      for await (const event of api().stream(`/v1/events?${query.toString()}`, meshEventSchema)) {
        terminal.out(json ? `${JSON.stringify(event)}\n` : eventLine(event));
      }
    });
}

function eventLine({ id, atMs, node, kind, connection, child, message }: MeshEvent): string {
  const subject = [connection, child].filter((part) => part !== null).join('/');
  const columns = [String(id), new Date(atMs).toISOString(), node ?? '-', kind.padEnd(11), subject, message];
  return `${printable(columns.filter((column) => column !== '').join('  '))}\n`;
}
