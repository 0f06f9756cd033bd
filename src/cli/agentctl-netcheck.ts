import { Command } from 'commander';
import { canCarryIke, netCheckSchema, networkCauseOf, type NatKind, type NetCheck } from '../agent/api.ts';
import { formatAge } from './age.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { netCheckAdvice } from './netcheck-advice.ts';
import { withProgress } from './progress.ts';
import { printable, type Style } from './style.ts';
import { renderTable, type Cell, type Row } from './table.ts';

const HELP = `
Asks from one UDP socket: how each mediator and hub sees this node, whether IKE daemons answer there on UDP 500 and 4500,
and which packet sizes get through. Nothing is changed, and no tunnel is touched. At most one check in 10 s: asked again
sooner, it prints the last one.

Exit code 0 when at least one mediator or hub can be used, 1 when none can, so that nothing can work.`;

export function netCheckCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('netcheck')
    .description('kind of NAT, IKE ports and MTU on the way to mediators and hubs, and what that means')
    .option('--json', 'as JSON (schema: docs/schemas/agent-netcheck.schema.json)')
    .addHelpText('after', HELP)
    .action(async ({ json }: { readonly json?: true }) => {
      const check = api().send('POST', '/v1/netcheck', netCheckSchema);
      const found = await (json ? check : withProgress(terminal, 'asking mediators and hubs, up to 6 s', check));
      const text = json ? `${JSON.stringify(found)}\n` : renderNetCheck(found, terminal.style, Date.now());
      terminal.out(text);
      if (networkCauseOf(found) === 'udp-blocked') {
        throw new CliError('nothing-works', 'no mediator and no hub can be used from here: no tunnel can come up');
      }
    });
}

/** The result as text: the kind of NAT, a line for each target, and what to make of it. */
export function renderNetCheck(check: NetCheck, style: Style, nowMs: number): string {
  const advice = netCheckAdvice(check).map((line) => `  - ${printable(line)}\n`);
  return [
    `${'NAT:'.padEnd(9)}${natPaint(check.natKind, style)(check.natKind)}\n`,
    `${'checked:'.padEnd(9)}${formatAge((nowMs - check.atMs) / 1000)} ago\n`,
    '\n',
    targetTable(check, style),
    '\n',
    `${style.bold('what this means')}:\n`,
    ...advice,
  ].join('');
}

function natPaint(natKind: NatKind, style: Style): Style['good'] {
  return { none: style.good, cone: style.good, symmetric: style.warn, unknown: style.warn, blocked: style.bad }[
    natKind
  ];
}

function targetTable({ targets, natKind }: NetCheck, style: Style): string {
  const yesOrNo = (isReachable: boolean, usable: boolean): Cell => ({
    text: isReachable ? 'yes' : 'no',
    paint: isReachable ? style.good : usable ? style.dim : style.bad,
  });
  const rows = targets.map((target): Row => {
    const usable = canCarryIke(target, natKind);
    return {
      cells: [
        target.node,
        target.address ?? target.host,
        target.local === null ? '' : endpointText(target.local),
        seenAs(target.reflexive),
        yesOrNo(target.ike500, usable),
        yesOrNo(target.ike4500, usable),
        target.mtu === null ? '?' : String(target.mtu),
      ],
    };
  });
  return renderTable(['TARGET', 'ADDRESS', 'FROM', 'SEEN AS', 'UDP 500', 'UDP 4500', 'MTU'], rows);
}

function seenAs(reflexive: NetCheck['targets'][number]['reflexive']): string {
  const seen = reflexive.flatMap(({ endpoint }) => (endpoint === null ? [] : [endpointText(endpoint)]));
  return seen.length === 0 ? 'no answer' : [...new Set(seen)].join(', ');
}

function endpointText({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
