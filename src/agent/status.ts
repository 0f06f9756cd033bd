import type { NodeReport } from '../control/report.ts';
import { IDLE_WORKERS_MIN } from '../reconcile/plan.ts';
import type { AgentStatus, CertificateStatus, ChannelStatus } from './api.ts';

export interface StatusInput {
  readonly report: NodeReport;
  readonly generations: { readonly generation: number | null; readonly applied: number | null };
  readonly node: string | null;
  readonly mesh: string | null;
  readonly channel: ChannelStatus;
  readonly certificates: readonly CertificateStatus[];
  /** What the machine refuses: the disk, an address. */
  readonly hostProblems: readonly string[];
}

/** What `agentctl status` shows. Pure. */
export function agentStatus(input: StatusInput): AgentStatus {
  const { report, generations, node, mesh, channel, certificates, hostProblems } = input;
  const { agentVersion, atMs, charon, connections, links } = report;
  return {
    agentVersion,
    node,
    mesh,
    atMs,
    coordinator: channel,
    certificates: [...certificates],
    charon,
    desired: generations,
    connections,
    links,
    problems: [
      ...agentProblems({ channel, charon, node, generations }),
      ...hostProblems,
      ...namedProblems(connections, 'name'),
      ...namedProblems(links, 'peer'),
    ],
  };
}

function agentProblems({
  channel,
  charon,
  node,
  generations,
}: Pick<StatusInput, 'channel' | 'node' | 'generations'> & Pick<NodeReport, 'charon'>): string[] {
  const problems: string[] = [];
  if (node === null)
    problems.push('this node is not enrolled: run agentctl enroll with a token of "meshctl token create"');
  if (charon.problem !== null) problems.push(charon.problem);
  if (charon.idleWorkers !== null && charon.idleWorkers < IDLE_WORKERS_MIN) {
    problems.push(
      `charon has only ${charon.idleWorkers} idle worker threads: nothing new is asked of it; raise charon.threads`,
    );
  }
  if (channel.problem !== null && channel.state !== 'connected') problems.push(`coordinator: ${channel.problem}`);
  if (node !== null && generations.generation === null)
    problems.push('no desired state yet: the mesh spec has no such node, or the coordinator was never reached');
  return problems;
}

function namedProblems<K extends 'name' | 'peer'>(
  items: readonly (Readonly<Record<K, string>> & { readonly problem: string | null })[],
  key: K,
): string[] {
  return items.flatMap((item) => (item.problem === null ? [] : [`${item[key]}: ${item.problem}`]));
}
