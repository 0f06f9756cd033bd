import { z } from 'zod';
import { charonReportSchema, connectionReportSchema, linkReportSchema, nodeEventSchema } from '../control/report.ts';
import { CERTIFICATE_PURPOSES } from '../identity/renewal.ts';

export type { ChildSaReport, ConnectionReport, IkeSaReport, LinkReport } from '../control/report.ts';

export {
  canCarryIke,
  netCheckSchema,
  networkCauseOf,
  type NetCheck,
  type NetCheckTarget,
} from './netcheck/net-check.ts';
export type { NatKind } from '../paths/path-cause.ts';

/** The agent's HTTP API on its Unix socket: what `agentctl` sends and reads. */

export const AGENT_SOCKET_DEFAULT = '/run/cygnet-agent/agent.sock';

/** Of the socket for those who may only look; it is beside the other one, unless agent.yaml says otherwise. */
export const READ_SOCKET_NAME = 'read.sock';

export const channelStatusSchema = z.object({
  /** https URL of the coordinator; null before enrolment. */
  url: z.string().nullable(),
  state: z.enum(['not-enrolled', 'connecting', 'connected', 'waiting']),
  sinceMs: z.number().int().min(0).describe('since when it is in this state: ms since the epoch'),
  problem: z.string().nullable(),
});
export type ChannelStatus = Readonly<z.output<typeof channelStatusSchema>>;

/** One of the node's two certificates. */
export const certificateStatusSchema = z.object({
  purpose: z.enum(CERTIFICATE_PURPOSES).describe('channel: shown to the coordinator; ike: shown to other nodes'),
  notAfterMs: z.number().int().describe('its end: ms since the epoch'),
  renewalAtMs: z.number().int().describe('when it is to be renewed: ms since the epoch'),
  problem: z.string().nullable().describe('why the last attempt to renew it came to nothing'),
});
export type CertificateStatus = Readonly<z.output<typeof certificateStatusSchema>>;

/** Reply to `POST /v1/renew`. */
export const renewResultSchema = z.object({ certificates: z.array(certificateStatusSchema) });

export const statusSchema = z
  .object({
    agentVersion: z.string(),
    node: z.string().nullable().describe('null before enrolment'),
    mesh: z.string().nullable(),
    atMs: z.number().int().min(0).describe('when this was read: ms since the epoch'),
    coordinator: channelStatusSchema,
    certificates: z.array(certificateStatusSchema).describe('empty before enrolment'),
    charon: charonReportSchema,
    desired: z.object({
      generation: z.number().int().nullable().describe('held on disk; null when none was ever received'),
      applied: z.number().int().nullable().describe('the generation that charon has, in whole'),
    }),
    connections: z.array(connectionReportSchema),
    links: z.array(linkReportSchema),
    problems: z.array(z.string()).describe('all that is wrong, in words; empty when nothing is'),
  })
  .meta({ id: 'agent-status', title: 'agentctl status --json' });
export type AgentStatus = Readonly<z.output<typeof statusSchema>>;

export const enrollCommandSchema = z.strictObject({
  /** https://HOST:PORT */
  coordinator: z.string().max(512),
  token: z.string().max(512),
  /** What this node is called in the mesh spec; a token that is for a group needs it. */
  name: z.string().max(63).exactOptional(),
  /** Replaces an enrolment that is there: new keys, and the coordinator of this URL. */
  again: z.boolean().exactOptional(),
});
export type EnrollCommand = Readonly<z.output<typeof enrollCommandSchema>>;

export const enrollResultSchema = z.object({ node: z.string(), mesh: z.string() });

/** Body of `POST /v1/ping`. */
export const pingCommandSchema = z.strictObject({
  /** The node at the other end of a link. */
  peer: z.string().max(63),
});
export type PingCommand = Readonly<z.output<typeof pingCommandSchema>>;

const pingAnswerSchema = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('answered'), rttMs: z.number().min(0) }),
  z.object({ outcome: z.literal('refused') }),
  z.object({ outcome: z.literal('lost') }),
  z.object({ outcome: z.literal('not-up') }),
]);

/** One packet through each path. `refused`: the path works, and the peer's agent does not run. */
export const pingResultSchema = z.object({ peer: z.string(), direct: pingAnswerSchema, relay: pingAnswerSchema });
export type PingResult = Readonly<z.output<typeof pingResultSchema>>;

/** Body of `POST /v1/reconnect`. */
export const reconnectCommandSchema = z.strictObject({
  /** The node at the other end of a link. */
  peer: z.string().max(63),
});
export type ReconnectCommand = Readonly<z.output<typeof reconnectCommandSchema>>;

/** The direct tunnel is given up. */
export const reconnectResultSchema = z.object({
  peer: z.string(),
  /** Ms since the epoch. */
  givenUpAtMs: z.number().int().min(0),
  /** `sinceMs` of the link while it had the path that is given up: a direct path since another time is a new one. */
  directSinceMs: z.number().int().min(0).nullable(),
});
export type ReconnectResult = Readonly<z.output<typeof reconnectResultSchema>>;

/** A line of `GET /v1/events`. */
export const agentEventSchema = nodeEventSchema;
