import { Command } from 'commander';
import { statusSchema, type LinkReport } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { PATH_HEADINGS, pathCells } from './path-text.ts';
import { printable, type Style } from './style.ts';
import { renderTable } from './table.ts';

export function pathsCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('paths')
    .description('which path each link takes and since when, how both paths do, and why a link is not direct')
    .argument('[node]', 'only the link to this node')
    .option('--json', 'as JSON')
    .action(async (node: string | undefined, { json }: { readonly json?: true }) => {
      const status = await api().get('/v1/status', statusSchema);
      const links = status.links.filter(({ peer }) => node === undefined || peer === node);
      if (links.length === 0 && node !== undefined) throw noSuchLink(node, status.links);
      const text = json
        ? `${JSON.stringify({ atMs: status.atMs, links })}\n`
        : renderPaths(links, status.atMs, terminal.style);
      terminal.out(text);
    });
}

function noSuchLink(node: string, links: readonly LinkReport[]): CliError {
  const known = links.length === 0 ? 'it has none' : `its links lead to ${links.map(({ peer }) => peer).join(', ')}`;
  return new CliError('bad-input', printable(`this node has no link to "${node}"; ${known}`));
}

function renderPaths(links: readonly LinkReport[], atMs: number, style: Style): string {
  if (links.length === 0) return 'no links yet\n';
  const rows = links.map((link) => ({
    cells: [...pathCells(link, atMs, style), { text: link.cause ?? '', paint: style.warn }],
    ...(link.problem !== null && { notes: [{ text: link.problem, paint: style.dim }] }),
  }));
  return renderTable([...PATH_HEADINGS, 'CAUSE'], rows);
}
