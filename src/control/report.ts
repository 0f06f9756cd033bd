import { z } from 'zod';

/** What a node tells about itself: on the control channel, and inside `agentctl status --json`. */

const text = z.string().max(1024);
const count = z.number().int().min(0);
/** Ms since the epoch, within what a Date can hold. */
const instant = count.max(8_640_000_000_000_000);

export const childSaReportSchema = z.object({
  name: text,
  link: text.nullable(),
  uniqueId: count,
  state: text.describe("charon's word: INSTALLED, REKEYED, …"),
  spiIn: text,
  spiOut: text,
  bytesIn: count,
  bytesOut: count,
  packetsIn: count,
  packetsOut: count,
  installedSeconds: count.nullable().describe('age; null while not installed'),
  rekeyInSeconds: z.number().int().nullable(),
  localTs: z.array(text),
  remoteTs: z.array(text),
});
export type ChildSaReport = Readonly<z.output<typeof childSaReportSchema>>;

export const ikeSaReportSchema = z.object({
  uniqueId: count,
  state: text.describe("charon's word: CREATED, CONNECTING, ESTABLISHED, …"),
  initiator: z.boolean(),
  localHost: text,
  localPort: count,
  remoteHost: text,
  remotePort: count,
  localId: text,
  remoteId: text,
  establishedSeconds: count.nullable().describe('age; null while not established'),
  rekeyInSeconds: z.number().int().nullable(),
  nat: z.boolean().describe('a NAT was found between the two ends'),
  childSas: z.array(childSaReportSchema),
});
export type IkeSaReport = Readonly<z.output<typeof ikeSaReportSchema>>;

export const CONNECTION_STATUSES = ['up', 'connecting', 'ready', 'down', 'refused', 'unknown'] as const;
export const connectionReportSchema = z.object({
  name: text,
  kind: text,
  peer: text.nullable().describe('the node at the other end; null on a mediation server'),
  status: z
    .enum(CONNECTION_STATUSES)
    .describe(
      'ready: loaded, and it is for the other end to begin; refused: charon would not load it; unknown: charon cannot be asked',
    ),
  problem: text.nullable().describe('what is wrong, in words; null when nothing is'),
  ikeSas: z.array(ikeSaReportSchema),
});
export type ConnectionReport = Readonly<z.output<typeof connectionReportSchema>>;

/** Kinds of NAT in front of a node, as far as hole punching cares. */
export const natKindSchema = z.enum(['none', 'cone', 'symmetric', 'blocked', 'unknown']);

/** Why a link has no direct path. */
export const linkCauseSchema = z.enum([
  'peer-offline',
  'mediator-unreachable',
  'symmetric-nat',
  'udp-blocked',
  'auth-failed',
  'no-proposal',
  'ts-unacceptable',
  'stuck-in-charon',
  'peer-refused',
  'path-silent',
]);

/** What probes say of one path of a link. */
const pathReadingSchema = z.object({
  health: z
    .enum(['unknown', 'alive', 'dead'])
    .describe('unknown: nothing has ever come back; a firewall at the peer may be all that is wrong'),
  rttMs: z.number().min(0).nullable().describe("smoothed round trip; null until the peer's agent has answered"),
  loss: z.number().min(0).max(1).nullable().describe('share of the last packets that were lost'),
});
export type PathReading = Readonly<z.output<typeof pathReadingSchema>>;

export const linkReportSchema = z.object({
  id: text,
  peer: text,
  path: z
    .enum(['direct', 'relay', 'none', 'unknown'])
    .describe('unknown: charon cannot be asked; its tunnels may work'),
  sinceMs: instant.nullable().describe('when it took this path: ms since the epoch'),
  problem: text.nullable(),
  cause: linkCauseSchema.nullable().describe('why there is no direct path, where one is wanted'),
  direct: pathReadingSchema.nullable().describe('null while it is not up, or cannot be probed'),
  relay: pathReadingSchema.nullable(),
  /** Set-ups of the direct path that came to nothing since the last one that worked. */
  directFailures: count,
});
export type LinkReport = Readonly<z.output<typeof linkReportSchema>>;

export const charonReportSchema = z.object({
  connected: z.boolean(),
  version: text.nullable(),
  sinceMs: instant.nullable().describe('start of the daemon: ms since the epoch'),
  idleWorkers: count.nullable(),
  problem: text.nullable(),
});

export const nodeReportSchema = z.object({
  agentVersion: text,
  atMs: instant,
  charon: charonReportSchema,
  generation: count.nullable().describe('of the desired state that is applied; null before the first'),
  nat: natKindSchema,
  /** There where the operator places the node's IKE certificate: its end, null while it cannot be used. */
  placedIke: z.object({ notAfterMs: instant.nullable() }).exactOptional(),
  connections: z.array(connectionReportSchema).max(4096),
  links: z.array(linkReportSchema).max(4096),
});
export type NodeReport = Readonly<z.output<typeof nodeReportSchema>>;

/** One thing that happened on a node: charon's SA events and the agent's own steps. */
export const nodeEventSchema = z.object({
  atMs: instant,
  kind: text.describe(
    'ike-up, ike-down, child-up, child-down, ike-rekey, child-rekey, ike-update, alert, path, charon, channel, certificate, network, step',
  ),
  connection: text.nullable(),
  child: text.nullable(),
  message: text,
});
export type NodeEvent = Readonly<z.output<typeof nodeEventSchema>>;
