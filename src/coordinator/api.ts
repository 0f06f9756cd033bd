import { z } from 'zod';
import { nodeNameSchema } from '../ike/connection.ts';
import { epochSchema } from '../control/epoch.ts';
import { linkCauseSchema, nodeReportSchema, nodeEventSchema } from '../control/report.ts';
import { publicKeySchema } from '../control/signing-key.ts';
import { signedSchema } from '../control/statement.ts';

import { ROLES } from './role.ts';

export { ROLES } from './role.ts';
export { auditRecordSchema, chainProblem, CHAIN_START, type AuditRecord, type ChainPosition } from './audit-record.ts';

/** The operator's HTTP API: what `meshctl` sends and reads. */

export const COORDINATOR_SOCKET_DEFAULT = '/run/cygnet-coordinator/api.sock';

/** Content type of `PUT /v1/spec`; JSON is YAML too. */
export const SPEC_CONTENT_TYPE = 'application/yaml';

/** Content type of `GET /v1/backup`. */
export const BACKUP_CONTENT_TYPE = 'application/vnd.sqlite3';

/** How many events one gets without `since`. */
export const RECENT_EVENTS = 200;

/** A token lives at least a minute and at most 30 days. */
export const TOKEN_TTL_SECONDS = { min: 60, max: 30 * 86_400 } as const;

const count = z.number().int().min(0);

const signingProblem = z
  .string()
  .nullable()
  .describe('why the coordinator could not sign, which it tries again; null: it could, or the operator has the key');

/** What nodes are not told yet of a change that is in force. */
const waitingFields = {
  unsigned: z.array(z.string()).describe('nodes whose new state waits for a signature'),
  signingProblem,
};

/** Reply to `PUT /v1/spec`, with `?dryRun=true` as well. */
export const applyReplySchema = z.object({
  revision: count.describe('of the spec in force; of a dry run: the one in force now, 0 when there is none'),
  dryRun: z.boolean(),
  changed: z.array(
    z.object({
      node: z.string(),
      added: z.array(z.string()).describe('connections that the node did not have'),
      changed: z.array(z.string()),
      removed: z.array(z.string()),
    }),
  ),
  massRemovals: z
    .array(z.object({ node: z.string(), loss: z.string() }))
    .describe('nodes that lose most of what they have, which needs the consent of the operator'),
  ...waitingFields,
});
export type ApplyReply = Readonly<z.output<typeof applyReplySchema>>;
export type NodeChange = ApplyReply['changed'][number];
export type MassRemoval = ApplyReply['massRemovals'][number];

/** Reply to `GET /v1/spec`. */
export const specReplySchema = z.object({ revision: count, appliedAtMs: count, text: z.string() });

/** States in one reply to `GET /v1/unsigned`, and signatures in one `POST /v1/signatures`. */
export const SIGNATURES_PER_REQUEST = 100;

/** Reply to `GET /v1/unsigned`: states that wait for the operator's signature, by node, from the one after `?after=` on. */
export const unsignedReplySchema = z.object({
  mesh: z.string(),
  epoch: epochSchema,
  key: publicKeySchema.describe('the public part of the key that nodes trust'),
  states: z.array(
    z.object({
      node: z.string(),
      generation: count,
      allowMassRemoval: z.boolean(),
      text: z.string().describe('the state in JSON; its SHA-256 is what is signed'),
      issued: z
        .object({ signed: signedSchema, state: z.string() })
        .nullable()
        .describe('what the node may be told until then'),
    }),
  ),
  more: z.boolean(),
});
export type UnsignedReply = Readonly<z.output<typeof unsignedReplySchema>>;

/** Body of `POST /v1/signatures`: all of them are taken, or none. */
export const signaturesRequestSchema = z.strictObject({
  signatures: z.array(signedSchema).min(1).max(SIGNATURES_PER_REQUEST),
});

export const signaturesReplySchema = z.object({ nodes: z.array(z.string()) });

/** Reply to `GET /v1/signing-key` and to the two ways of changing it. */
export const signingKeyReplySchema = z.object({
  mesh: z.string(),
  key: publicKeySchema.describe('the public part, base64url'),
  offline: z.boolean().describe('the private part is not on the coordinator'),
  unsigned: count.describe('states that wait for a signature of this key'),
  signingProblem,
});
export type SigningKeyReply = Readonly<z.output<typeof signingKeyReplySchema>>;

/** Body of `POST /v1/signing-key`: nothing makes a new key, `key` hands over to one that the operator keeps. */
export const signingKeyRequestSchema = z.union([
  z.strictObject({ key: publicKeySchema.exactOptional() }),
  z.strictObject({ introduction: signedSchema }),
]);

export {
  generateSigningKey,
  publicKeyPem,
  signingKeyOf,
  signingPublicKeyOf,
  type SigningKey,
  type SigningPublicKey,
} from '../control/signing-key.ts';
export { SigningError } from '../control/signing-error.ts';
export { openStatement, signStatement, stateStatementSchema, type Signed } from '../control/statement.ts';

/** A group of nodes in the mesh spec. */
export const groupNameSchema = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'lower case letters, digits and inner "-", at most 63');

const ttlSeconds = z.number().int().min(TOKEN_TTL_SECONDS.min).max(TOKEN_TTL_SECONDS.max);

/** A group's token lets in at most this many nodes. */
export const TOKEN_USES_MAX = 4000;

/** Body of `POST /v1/tokens`: for one enrolment of a node, or for several of nodes of a group. */
export const tokenRequestSchema = z.union([
  z.strictObject({ node: nodeNameSchema, ttlSeconds }),
  z.strictObject({
    group: groupNameSchema,
    uses: z.number().int().min(1).max(TOKEN_USES_MAX),
    ttlSeconds,
  }),
]);

export const tokenReplySchema = z.object({
  id: z.string().describe('what operators call it by'),
  node: z.string().nullable().describe('null: it is for a group'),
  group: z.string().nullable(),
  uses: count,
  token: z.string().describe('shown this once; only its hash is kept'),
  expiresAtMs: count,
  inSpec: z.boolean().describe('the mesh spec in force has such a node, or a node in such a group'),
});
export type TokenReply = Readonly<z.output<typeof tokenReplySchema>>;

export const tokenViewSchema = z.object({
  id: z.string(),
  node: z.string().nullable(),
  group: z.string().nullable(),
  uses: count,
  usesLeft: count,
  expiresAtMs: count,
  state: z.enum(['usable', 'used', 'revoked']),
});
export type TokenView = Readonly<z.output<typeof tokenViewSchema>>;

/** Reply to `GET /v1/tokens`: those that have not expired, the newest first. */
export const tokensReplySchema = z.object({ tokens: z.array(tokenViewSchema) });

/** Reply to `DELETE /v1/tokens?id=ID`. */
export const tokenRevokedSchema = z.object({ id: z.string() });

/** Body of `POST /v1/nodes/revoke`. */
export const revokeRequestSchema = z.strictObject({
  node: nodeNameSchema,
  /** The operator's words, for operators. */
  reason: z.string().min(1).max(200).nullable(),
});

/** Body of `POST /v1/nodes/readmit`. */
export const readmitRequestSchema = z.strictObject({ node: nodeNameSchema });

/** Reply to both. */
export const revocationReplySchema = z.object({
  node: z.string(),
  changed: z.boolean().describe('false: it was so before'),
  ...waitingFields,
});
export type RevocationReply = Readonly<z.output<typeof revocationReplySchema>>;

export const NODE_STATES = [
  'revoked',
  'not-enrolled',
  'not-in-spec',
  'never-seen',
  'offline',
  'pending',
  'unsigned',
  'held-back',
  'refused',
  'ok',
] as const;

export const nodeViewSchema = z.object({
  name: z.string(),
  inSpec: z.boolean(),
  enrolledAtMs: count.nullable(),
  certificates: z
    .object({
      channelNotAfterMs: count,
      ikeNotAfterMs: count.nullable().describe('null: it is placed, and the node has not said when it ends'),
      ikeIsPlaced: z.boolean().describe('by the operator, on the node'),
    })
    .nullable()
    .describe('ends of those that it was given last: ms since the epoch; null before enrolment'),
  revoked: z
    .object({ atMs: count, reason: z.string().nullable() })
    .nullable()
    .describe('thrown out: it has no place in the mesh, whatever the spec says'),
  online: z.boolean(),
  remote: z.string().nullable().describe('source address of its control channel'),
  lastSeenMs: count.nullable(),
  wantedGeneration: count.nullable(),
  appliedGeneration: count.nullable(),
  state: z
    .enum(NODE_STATES)
    .describe(
      'pending: it has not confirmed the wanted generation; unsigned: that waits for the signature of the operator; held-back: the coordinator was restored from a backup, and tells nodes nothing until a mesh spec is applied; refused: it could not load all of it, or would not take it',
    ),
  problems: z.array(z.object({ resource: z.string(), message: z.string() })).describe('of its last nack'),
  report: nodeReportSchema.nullable(),
});
export type NodeView = Readonly<z.output<typeof nodeViewSchema>>;

/** Reply to `GET /v1/nodes`. */
export const nodesReplySchema = z.object({
  nodes: z.array(nodeViewSchema),
  caNotAfterMs: count.describe('end of the mesh CA, and at the latest of all certificates: ms since the epoch'),
  signingProblem,
});
export type NodesReply = Readonly<z.output<typeof nodesReplySchema>>;

const linkEndSchema = z.object({
  node: z.string(),
  online: z.boolean(),
  path: z.enum(['direct', 'relay', 'none', 'unknown']).nullable().describe('null: it has not said'),
  sinceMs: count.nullable(),
  problem: z.string().nullable(),
  cause: linkCauseSchema.nullable().describe('why there is no direct path, where one is wanted'),
  rttMs: z.number().min(0).nullable().describe('round trip on the path that is in use'),
  directFailures: count,
});

export const linkViewSchema = z.object({
  id: z.string(),
  ends: z.tuple([linkEndSchema, linkEndSchema]),
  registered: z.boolean().nullable().describe('both ends are at the mediator; null: the link has no mediated path'),
  initiator: z.string().nullable(),
});
export type LinkView = Readonly<z.output<typeof linkViewSchema>>;

/** Reply to `GET /v1/links`. */
export const linksReplySchema = z.object({ links: z.array(linkViewSchema) });

/** A line of `GET /v1/events`: what a node told, or (node null) what the coordinator did. */
export const meshEventSchema = nodeEventSchema.extend({ id: count, node: z.string().nullable() });
export type MeshEvent = Readonly<z.output<typeof meshEventSchema>>;

/** Reply to `GET /v1/status`. */
export const statusReplySchema = z.object({
  version: z.string(),
  mesh: z.string(),
  epoch: z.string(),
  revision: count.describe('0: no spec was applied yet'),
  startedAtMs: count,
  nodes: z.object({ inSpec: count, enrolled: count, online: count }),
});
export type StatusReply = Readonly<z.output<typeof statusReplySchema>>;

/** An API token lives at least a minute and at most a year. */
export const API_TOKEN_TTL_SECONDS = { min: 60, max: 366 * 86_400 } as const;

const apiTokenName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/, 'lower case letters, digits and inner ".", "_", "-", at most 63');

/** Body of `POST /v1/api-tokens`. */
export const apiTokenRequestSchema = z.strictObject({
  name: apiTokenName.describe('whoever or whatever it is for; the audit log shows it'),
  role: z.enum(ROLES),
  ttlSeconds: z.number().int().min(API_TOKEN_TTL_SECONDS.min).max(API_TOKEN_TTL_SECONDS.max),
});
export type ApiTokenRequest = Readonly<z.output<typeof apiTokenRequestSchema>>;

export const apiTokenViewSchema = z.object({
  name: z.string(),
  role: z.enum(ROLES),
  createdAtMs: count,
  expiresAtMs: count,
  revokedAtMs: count.nullable(),
  lastUsedAtMs: count.nullable().describe('to the minute'),
  state: z.enum(['usable', 'expired', 'revoked']),
});
export type ApiTokenView = Readonly<z.output<typeof apiTokenViewSchema>>;

/** Reply to `POST /v1/api-tokens`. */
export const apiTokenReplySchema = apiTokenViewSchema.extend({
  token: z.string().describe('shown this once; only its hash is kept'),
});
export type ApiTokenReply = Readonly<z.output<typeof apiTokenReplySchema>>;

/** Reply to `GET /v1/api-tokens`. */
export const apiTokensReplySchema = z.object({ tokens: z.array(apiTokenViewSchema) });

/** Query of `GET /v1/audit`: records after one, or the newest. */
export const AUDIT_RECENT = 200;

/** Reply to `GET /v1/audit/ends`. */
export const auditEndsSchema = z.object({
  start: z.object({ id: count, hash: z.string() }).describe('the record before the first that is kept'),
  head: z.object({ id: count, hash: z.string() }).describe('the newest record'),
});

/** Body of `POST /v1/audit/prune`: the last record that is to go, as whoever has exported it knows it. */
export const auditPruneSchema = z.strictObject({
  id: z.number().int().min(1),
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'not a hash'),
});
