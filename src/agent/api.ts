import { z } from 'zod';
import { charonReportSchema, connectionReportSchema, linkReportSchema, nodeEventSchema } from '../control/report.ts';

export type { ChildSaReport, ConnectionReport, IkeSaReport, LinkReport } from '../control/report.ts';

/** The agent's HTTP API on its Unix socket: what `agentctl` sends and reads. */

export const AGENT_SOCKET_DEFAULT = '/run/cygnet-agent/agent.sock';

export const channelStatusSchema = z.object({
  /** https URL of the coordinator; null before enrolment. */
  url: z.string().nullable(),
  state: z.enum(['not-enrolled', 'connecting', 'connected', 'waiting']),
  sinceMs: z.number().int().min(0).describe('since when it is in this state: ms since the epoch'),
  problem: z.string().nullable(),
});
export type ChannelStatus = Readonly<z.output<typeof channelStatusSchema>>;

export const statusSchema = z
  .object({
    agentVersion: z.string(),
    node: z.string().nullable().describe('null before enrolment'),
    mesh: z.string().nullable(),
    atMs: z.number().int().min(0).describe('when this was read: ms since the epoch'),
    coordinator: channelStatusSchema,
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
  /** Replaces an enrolment that is there: new keys, and the coordinator of this URL. */
  again: z.boolean().exactOptional(),
});
export type EnrollCommand = Readonly<z.output<typeof enrollCommandSchema>>;

export const enrollResultSchema = z.object({ node: z.string(), mesh: z.string() });

/** A line of `GET /v1/events`. */
export const agentEventSchema = nodeEventSchema;
