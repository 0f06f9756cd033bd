import { Command } from 'commander';
import { linksReplySchema, type LinkView } from '../coordinator/api.ts';
import { formatAge } from './age.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import type { Paint, Style } from './style.ts';
import { renderTable, type Row } from './table.ts';

const HEADINGS = ['LINK', 'PATH', 'SINCE', 'ROUND TRIP', 'CAUSE', 'PROBLEM'];

type LinkEnd = LinkView['ends'][number];

export function linksCommand({ terminal, clock, api }: MeshctlContext): Command {
  return new Command('links')
    .description('the links of the mesh: which path each takes, as its two ends see it')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const reply = await api().get('/v1/links', linksReplySchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderLinks(reply.links, clock.nowMs(), terminal.style));
    });
}

function renderLinks(links: readonly LinkView[], nowMs: number, style: Style): string {
  if (links.length === 0) return 'no links yet\n';
  return renderTable(
    HEADINGS,
    links.map((link) => linkRow(link, nowMs, style)),
  );
}

function linkRow({ id, ends }: LinkView, nowMs: number, style: Style): Row {
  const words = [...new Set(ends.map(pathWord))];
  const sinces = ends.flatMap(({ sinceMs }) => (sinceMs === null ? [] : [sinceMs]));
  const [agreed] = words;
  return {
    cells: [
      id,
      words.length === 1 && agreed !== undefined
        ? { text: agreed, paint: pathPaint(ends[0], style) }
        : { text: ends.map((end) => `${end.node}: ${pathWord(end)}`).join(', '), paint: style.warn },
      sinces.length === 0 ? '-' : formatAge((nowMs - Math.max(...sinces)) / 1000),
      rttText(ends),
      {
        text: [...new Set(ends.map(({ cause }) => cause ?? ''))].filter((cause) => cause !== '').join(', '),
        paint: style.warn,
      },
      { text: problemOf(ends), paint: style.warn },
    ],
  };
}

/** The mean of what the two ends measure. */
function rttText(ends: readonly LinkEnd[]): string {
  const rtts = ends.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
  if (rtts.length === 0) return '-';
  return `${(rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length).toFixed(1)} ms`;
}

function pathWord({ online, path }: LinkEnd): string {
  return online ? (path ?? 'not known yet') : 'offline';
}

function pathPaint({ path }: LinkEnd, style: Style): Paint {
  if (path === 'direct') return style.good;
  return path === 'none' ? style.bad : style.warn;
}

function problemOf(ends: readonly LinkEnd[]): string {
  return ends.flatMap(({ node, problem }) => (problem === null ? [] : [`${node}: ${problem}`])).join('; ');
}
