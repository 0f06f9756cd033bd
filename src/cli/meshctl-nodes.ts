import { Command } from 'commander';
import { nodesReplySchema, type NodesReply, type NodeView } from '../coordinator/api.ts';
import { formatAge } from './age.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import type { Paint, Style } from './style.ts';
import { renderTable, type Cell, type Row } from './table.ts';

const HEADINGS = ['NODE', 'ONLINE', 'CHARON', 'GENERATION', 'STATE', 'CERTIFICATES', 'LAST SEEN'];

/** So long before its end a CA that nobody replaces is worth a warning. */
const CA_WARNING_MS = 180 * 86_400_000;

const STATE_WORDS: Readonly<Record<NodeView['state'], string>> = {
  revoked: 'revoked',
  'not-enrolled': 'not enrolled',
  'not-in-spec': 'not in the spec',
  'never-seen': 'never seen',
  offline: 'offline',
  pending: 'pending',
  unsigned: 'not signed',
  'held-back': 'held back',
  refused: 'refused',
  ok: 'ok',
};

export function nodesCommand({ terminal, clock, api }: MeshctlContext): Command {
  return new Command('nodes')
    .description('the nodes of the mesh: who is here, and whether each has loaded what it should')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const reply = await api().get('/v1/nodes', nodesReplySchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderNodes(reply, clock.nowMs(), terminal.style));
    });
}

function renderNodes({ nodes, caNotAfterMs, signingProblem }: NodesReply, nowMs: number, style: Style): string {
  if (nodes.length === 0) return 'no nodes yet: write a mesh spec, and run meshctl apply -f FILE\n';
  const table = renderTable(
    HEADINGS,
    nodes.map((node) => nodeRow(node, signingProblem, nowMs, style)),
  );
  if (caNotAfterMs - nowMs > CA_WARNING_MS) return table;
  const end = new Date(caNotAfterMs).toISOString();
  return `${table}${style.bad(`the mesh CA is valid until ${end}, and no certificate beyond that: see docs/certificates.md`)}\n`;
}

function nodeRow(node: NodeView, signingProblem: string | null, nowMs: number, style: Style): Row {
  const seen = node.lastSeenMs === null ? '-' : `${formatAge((nowMs - node.lastSeenMs) / 1000)} ago`;
  return {
    cells: [
      node.name,
      node.online ? { text: 'yes', paint: style.good } : { text: 'no', paint: style.warn },
      charonCell(node, style),
      `${node.appliedGeneration ?? '-'}/${node.wantedGeneration ?? '-'}`,
      { text: STATE_WORDS[node.state], paint: statePaint(node.state, style) },
      certificatesCell(node, nowMs, style),
      node.online ? 'now' : seen,
    ],
    notes: notesOf(node, signingProblem, style),
  };
}

/** What a node said of its charon while it was here says nothing about now. */
function charonCell({ online, report }: NodeView, style: Style): Cell {
  if (!online || report === null) return '-';
  const { connected, version } = report.charon;
  return connected ? { text: version ?? 'yes', paint: style.good } : { text: 'down', paint: style.bad };
}

/** How long those are good for that it was given last, by the coordinator or the operator: for its channel, and for IKE. */
function certificatesCell({ certificates, revoked }: NodeView, nowMs: number, style: Style): Cell {
  if (certificates === null || revoked !== null) return '-';
  const { channelNotAfterMs, ikeNotAfterMs, ikeIsPlaced } = certificates;
  const left = (endMs: number): string => (endMs <= nowMs ? 'expired' : formatAge((endMs - nowMs) / 1000));
  const ike = [...(ikeIsPlaced ? ['placed'] : []), ...(ikeNotAfterMs === null ? [] : [left(ikeNotAfterMs)])];
  const text = `${left(channelNotAfterMs)}, ${ike.join(' ')}`;
  return Math.min(channelNotAfterMs, ikeNotAfterMs ?? Infinity) <= nowMs ? { text, paint: style.bad } : text;
}

function statePaint(state: NodeView['state'], style: Style): Paint {
  if (state === 'ok') return style.good;
  return state === 'refused' || state === 'revoked' ? style.bad : style.warn;
}

/** What is wrong, and what to do about it. */
function notesOf(node: NodeView, signingProblem: string | null, style: Style): Cell[] {
  const { name, state, report } = node;
  const notes: Cell[] = [];
  if (node.revoked !== null) {
    const why = node.revoked.reason === null ? '' : `: ${node.revoked.reason}`;
    notes.push(`revoked ${new Date(node.revoked.atMs).toISOString()}${why}; meshctl node readmit ${name} lifts it`);
    return notes;
  }
  if (state === 'not-enrolled') {
    notes.push(`run here: meshctl token create ${name}; then on ${name}: agentctl enroll`);
  }
  if (state === 'not-in-spec') notes.push('enrolled, but the mesh spec has no such node: it has no connections');
  if (state === 'never-seen') notes.push(`enrolled, but never connected: on ${name} see systemctl status cygnet-agent`);
  if (state === 'unsigned' && signingProblem === null) {
    notes.push('its new state waits for your signature: meshctl sign --key FILE');
  }
  if (state === 'unsigned' && signingProblem !== null) {
    notes.push({
      text: `the coordinator could not sign its new state, and tries again: ${signingProblem}`,
      paint: style.bad,
    });
  }
  if (state === 'held-back') notes.push('the coordinator was restored: nodes keep what they have until meshctl apply');
  const charonProblem = node.online ? (report?.charon.problem ?? null) : null;
  if (charonProblem !== null) notes.push({ text: `charon: ${charonProblem}`, paint: style.bad });
  for (const { resource, message } of node.problems) {
    notes.push({ text: `${resource}: ${message}`, paint: style.bad });
  }
  return notes;
}
