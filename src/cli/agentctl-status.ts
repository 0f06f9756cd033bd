import { Command } from 'commander';
import {
  statusSchema,
  type AgentStatus,
  type ChildSaReport,
  type ConnectionReport,
  type IkeSaReport,
} from '../agent/api.ts';
import { formatAge } from './age.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { PATH_HEADINGS, pathCells } from './path-text.ts';
import { printable, type Style } from './style.ts';
import { renderTable } from './table.ts';

export function statusCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('status')
    .description('coordinator, charon, links and their paths, IKE and CHILD SAs, and what is wrong')
    .option('--json', 'as JSON (schema: docs/schemas/agent-status.schema.json)')
    .action(async ({ json }: { readonly json?: true }) => {
      const status = await api().get('/v1/status', statusSchema);
      terminal.out(json ? `${JSON.stringify(status)}\n` : renderStatus(status, terminal.style));
    });
}

/** The status as text, at a glance first: head, links, connections, problems. */
export function renderStatus(status: AgentStatus, style: Style): string {
  const sections = [head(status, style), links(status, style), connections(status, style), problems(status, style)];
  return sections.filter((section) => section !== '').join('\n');
}

function head(status: AgentStatus, style: Style): string {
  const name = status.node === null ? 'not enrolled' : `${status.node} in mesh ${status.mesh ?? '?'}`;
  const rows = [
    ['node', style.bold(printable(name)) + `, agent ${printable(status.agentVersion)}`],
    ['coordinator', coordinatorLine(status, style)],
    ...(status.certificates.length === 0 ? [] : [['certificates', certificatesLine(status, style)] as const]),
    ['charon', charonLine(status, style)],
    ['desired state', generationLine(status, style)],
  ];
  return rows.map(([label, text]) => `${`${label}:`.padEnd(15)}${text}\n`).join('');
}

function coordinatorLine({ coordinator, atMs }: AgentStatus, style: Style): string {
  if (coordinator.state === 'not-enrolled') return style.warn('none: run agentctl enroll');
  const where = printable(coordinator.url ?? '');
  const since = formatAge((atMs - coordinator.sinceMs) / 1000);
  if (coordinator.state === 'connected') return `${style.good('connected')} to ${where} for ${since}`;
  const why = coordinator.problem === null ? '' : `: ${printable(coordinator.problem)}`;
  return `${style.warn('not connected')} to ${where} for ${since}${why}; tunnels stay as they are`;
}

/** What is wrong with them stands below. */
function certificatesLine({ certificates, atMs }: AgentStatus, style: Style): string {
  return certificates
    .map(({ purpose, notAfterMs, problem }) => {
      const name = purpose === 'ike' ? 'IKE' : printable(purpose);
      if (notAfterMs <= atMs) return style.bad(`${name} expired ${formatAge((atMs - notAfterMs) / 1000)} ago`);
      const text = `${name} for ${formatAge((notAfterMs - atMs) / 1000)}`;
      return problem === null ? text : style.warn(text);
    })
    .join(', ');
}

function charonLine({ charon, atMs }: AgentStatus, style: Style): string {
  if (!charon.connected) return style.bad(printable(charon.problem ?? 'not connected'));
  const up = charon.sinceMs === null ? '' : `, up ${formatAge((atMs - charon.sinceMs) / 1000)}`;
  return `${style.good('connected')}, strongSwan ${printable(charon.version ?? '?')}${up}, ${charon.idleWorkers ?? '?'} idle workers`;
}

function generationLine({ desired: { generation, applied } }: AgentStatus, style: Style): string {
  if (generation === null) return style.warn('none yet');
  return applied === generation
    ? `generation ${generation}, ${style.good('applied')}`
    : `generation ${generation}, ${style.warn('not applied in whole')}`;
}

function links({ links: all, atMs }: AgentStatus, style: Style): string {
  if (all.length === 0) return '';
  const rows = all.map((link) => ({
    cells: [...pathCells(link, atMs, style), { text: link.problem ?? '', paint: style.warn }],
  }));
  return renderTable([...PATH_HEADINGS, ''], rows);
}

function connections(status: AgentStatus, style: Style): string {
  return status.connections.map((connection) => connectionBlock(connection, style)).join('');
}

const STATUS_WORDS: Readonly<Record<ConnectionReport['status'], string>> = {
  up: 'up',
  connecting: 'connecting',
  ready: 'loaded, waits for the other end',
  down: 'down',
  refused: 'refused by charon',
  unknown: 'unknown, charon cannot be asked',
};

function connectionBlock(connection: ConnectionReport, style: Style): string {
  const paint = {
    up: style.good,
    connecting: style.warn,
    ready: style.dim,
    down: style.bad,
    refused: style.bad,
    unknown: style.dim,
  }[connection.status];
  const title = `${style.bold(printable(connection.name))} (${printable(connection.kind)}): ${paint(STATUS_WORDS[connection.status])}\n`;
  return title + connection.ikeSas.map((ikeSa) => ikeSaLines(ikeSa, style)).join('');
}

/** The same facts in the same order as `ipsec status` prints them. */
function ikeSaLines(ikeSa: IkeSaReport, style: Style): string {
  const since = ikeSa.establishedSeconds === null ? '' : ` ${formatAge(ikeSa.establishedSeconds)} ago`;
  const rekey = ikeSa.rekeyInSeconds === null ? '' : `, rekeying in ${formatAge(ikeSa.rekeyInSeconds)}`;
  const role = ikeSa.initiator ? 'initiator' : 'responder';
  return [
    `  IKE SA [${ikeSa.uniqueId}] ${ikeSa.state}${since}, ${role}${ikeSa.nat ? ', through NAT' : ''}${rekey}`,
    `    ${ikeSa.localHost}:${ikeSa.localPort} [${ikeSa.localId}] ... ${ikeSa.remoteHost}:${ikeSa.remotePort} [${ikeSa.remoteId}]`,
    ...ikeSa.childSas.flatMap(childSaLines),
  ]
    .map((line, index) => `${index < 2 ? printable(line) : style.dim(printable(line))}\n`)
    .join('');
}

function childSaLines(childSa: ChildSaReport): readonly string[] {
  const since = childSa.installedSeconds === null ? '' : ` ${formatAge(childSa.installedSeconds)} ago`;
  return [
    `    CHILD SA ${childSa.name} {${childSa.uniqueId}} ${childSa.state}${since}, SPIs ${childSa.spiIn}_i ${childSa.spiOut}_o`,
    `      ${childSa.localTs.join(' ')} === ${childSa.remoteTs.join(' ')}, in ${bytes(childSa.bytesIn)} (${childSa.packetsIn}), out ${bytes(childSa.bytesOut)} (${childSa.packetsOut})`,
  ];
}

function problems({ problems: all }: AgentStatus, style: Style): string {
  if (all.length === 0) return style.good('nothing is wrong\n');
  return [`${style.bad('what is wrong')}:`, ...all.map((problem) => `  - ${printable(problem)}`)]
    .map((line) => `${line}\n`)
    .join('');
}

function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return power === 0 ? `${count} B` : `${(count / 1000 ** power).toFixed(1)} ${units[power]}`;
}
