import type { LinkReport, NodeReport } from '../control/report.ts';
import type { StateStatement } from '../control/statement.ts';
import type { NodeName } from '../ike/connection.ts';
import type { NodeRecord } from './admission-store.ts';
import type { LinkView, NodeView, TokenView } from './api.ts';
import type { NodeChannel } from './channel-host.ts';
import type { StateVersion } from './mesh-store.ts';
import type { NodeStatus } from './observation-store.ts';
import type { CertificateEnds } from './renewal-store.ts';
import type { Revocation } from './revocation-store.ts';
import type { StoredToken } from './token-store.ts';
import type { PlannedLink } from './topology.ts';

/** All that the coordinator knows of a node. */
export interface NodeKnowledge {
  readonly name: NodeName;
  readonly inSpec: boolean;
  readonly record: NodeRecord | undefined;
  /** When its newest certificates end; undefined before enrolment. */
  readonly certificates: CertificateEnds | undefined;
  readonly revocation: Revocation | undefined;
  readonly wanted: StateVersion | undefined;
  /** What the node may be told; behind the wanted state until that is signed. */
  readonly told: StateStatement | undefined;
  /** Nodes are told nothing, for the database was restored. */
  readonly isHeldBack: boolean;
  readonly status: NodeStatus | undefined;
  readonly channel: NodeChannel | undefined;
}

export function nodeView(knowledge: NodeKnowledge, nowMs: number): NodeView {
  const { name, inSpec, record, certificates, revocation, wanted, status, channel } = knowledge;
  const failed = status?.outcome?.outcomes ?? [];
  return {
    name,
    inSpec,
    enrolledAtMs: record?.enrolledAtMs ?? null,
    certificates: certificates === undefined ? null : certificatesOf(certificates, status?.report?.placedIke),
    revoked: revocation === undefined ? null : { atMs: revocation.revokedAtMs, reason: revocation.reason },
    online: channel !== undefined,
    remote: channel?.remote ?? null,
    lastSeenMs: channel === undefined ? (status?.lastSeenMs ?? null) : nowMs,
    wantedGeneration: wanted?.generation ?? null,
    appliedGeneration: appliedGeneration(status),
    state: stateOf(knowledge),
    problems: failed.map(({ resource, message }) => ({ resource, message: message ?? 'refused without a reason' })),
    report: status?.report ?? null,
  };
}

/** A node that was given an IKE certificate may have got another one from the operator since. */
function certificatesOf({ channel, ike }: CertificateEnds, placed: NodeReport['placedIke']): NodeView['certificates'] {
  const ikeIsPlaced = placed !== undefined || ike === null;
  return { channelNotAfterMs: channel, ikeNotAfterMs: ikeIsPlaced ? (placed?.notAfterMs ?? null) : ike, ikeIsPlaced };
}

function appliedGeneration(status: NodeStatus | undefined): number | null {
  if (status?.outcome?.ok === true) return status.outcome.generation;
  return status?.report?.generation ?? null;
}

function stateOf(knowledge: NodeKnowledge): NodeView['state'] {
  const { inSpec, record, revocation, wanted, told, isHeldBack, status, channel } = knowledge;
  if (revocation !== undefined) return 'revoked';
  if (record === undefined) return 'not-enrolled';
  if (!inSpec) return 'not-in-spec';
  if (status === undefined) return 'never-seen';
  if (isHeldBack) return 'held-back';
  if (wanted !== undefined && told?.digest !== wanted.digest) return 'unsigned';
  if (channel === undefined) return 'offline';
  if (status.outcome?.ok === false && status.outcome.generation === wanted?.generation) return 'refused';
  return appliedGeneration(status) === wanted?.generation ? 'ok' : 'pending';
}

/** A link as both of its ends see it; an end that is offline has no say. */
export function linkView(
  link: PlannedLink,
  knowledgeOf: (node: NodeName) => Pick<NodeKnowledge, 'status' | 'channel'>,
  mediated: { readonly registered: boolean; readonly initiator: NodeName } | undefined,
): LinkView {
  const endOf = (node: NodeName): LinkView['ends'][number] => {
    const { status, channel } = knowledgeOf(node);
    const online = channel !== undefined;
    return { node, online, ...seenBy(online ? status?.report?.links.find(({ id }) => id === link.id) : undefined) };
  };
  return {
    id: link.id,
    ends: [endOf(link.ends[0]), endOf(link.ends[1])],
    registered: mediated?.registered ?? null,
    initiator: mediated?.initiator ?? null,
  };
}

function seenBy(report: LinkReport | undefined): Omit<LinkView['ends'][number], 'node' | 'online'> {
  const { path = null, sinceMs = null, problem = null, cause = null, directFailures = 0 } = report ?? {};
  const rttMs = path === 'direct' || path === 'relay' ? (report?.[path]?.rttMs ?? null) : null;
  return { path, sinceMs, problem, cause, rttMs, directFailures };
}

export function tokenView({ id, subject, uses, usesLeft, expiresAtMs, isRevoked }: StoredToken): TokenView {
  const [node, group] = 'node' in subject ? [subject.node, null] : [null, subject.group];
  const state = isRevoked ? 'revoked' : usesLeft === 0 ? 'used' : 'usable';
  return { id, node, group, uses, usesLeft, expiresAtMs, state };
}
