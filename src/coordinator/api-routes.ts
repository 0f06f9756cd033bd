import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { SigningError } from '../control/signing-error.ts';
import {
  apiTokenRequestSchema,
  auditPruneSchema,
  readmitRequestSchema,
  revokeRequestSchema,
  signaturesRequestSchema,
  signingKeyRequestSchema,
  SPEC_CONTENT_TYPE,
  tokenRequestSchema,
} from './api.ts';
import { pruneAudit, streamAudit } from './api-audit.ts';
import { streamEvents } from './api-events.ts';
import { ApiRefused } from './api-refused.ts';
import { parseJson, parseQuery, type ApiRequest } from './api-request.ts';
import type { Attempt } from './audit-log.ts';
import { sendBackup } from './api-backup.ts';
import type { Coordinator } from './coordinator.ts';
import { SignaturesRefused } from './issued-states.ts';
import type { Role } from './role.ts';
import type { ApplySpecOptions } from './rollout.ts';
import { MassRemovalRefused, SpecRefused } from './spec-in-force.ts';

/** Answers a request with what goes out as JSON. Throws an ApiRefused. */
type Answer = (coordinator: Coordinator, request: ApiRequest) => unknown;

/**
 * The same for a request that may change something. The audit log gets a record of how it ended in any case; what
 * changes the store does so in `attempt.commit`, which writes both in one transaction.
 */
type ChangingAnswer = (coordinator: Coordinator, request: ApiRequest, attempt: Attempt) => unknown;

/** Writes the reply itself, for as long as it likes; throws an ApiRefused before the first byte. */
type Stream = (
  coordinator: Coordinator,
  request: ApiRequest,
  response: ServerResponse,
  signal: AbortSignal,
) => Promise<void>;

/** A request that changes nothing. */
type Read = {
  readonly role: Role;
  /** What it is called in the audit log, if it takes out what others must not have. */
  readonly recorded?: string;
} & ({ readonly answer: Answer } | { readonly stream: Stream });

/** A request that may change something. */
interface Change {
  /** The least that its sender must be: `operator`, or `admin` for what decides who else may do something. */
  readonly role: Role;
  /** What it is called in the audit log. */
  readonly action: string;
  /** Content type of its body; `application/json` by default. */
  readonly bodyType?: string;
  readonly answer: ChangingAnswer;
}

/** What a path offers. A route without a role, or a change without a name for the audit log, does not compile. */
export interface ApiMethods {
  readonly GET?: Read;
  readonly PUT?: Change;
  readonly POST?: Change;
  readonly DELETE?: Change;
}

export type ApiRoute = Read | Change;

const flag = z.enum(['true', 'false']).default('false');
const applySchema = z.strictObject({ dryRun: flag, allowMassRemoval: flag });
const afterSchema = z.strictObject({ after: z.string().max(63).default('') });
const backupSchema = z.strictObject({ keys: flag });
const nothingSchema = z.strictObject({});

const apiTokenNameSchema = z.strictObject({ name: z.string().max(64) });
const tokenIdSchema = z.strictObject({ id: z.string().max(64) });

/** All of the operator's API, by path and method. */
export const API_ROUTES: ReadonlyMap<string, ApiMethods> = new Map<string, ApiMethods>([
  [
    '/v1/spec',
    {
      GET: {
        role: 'viewer',
        answer: (coordinator, { query }) => {
          parseQuery(nothingSchema, query);
          if (coordinator.spec === undefined) throw new ApiRefused('not-found', 'no mesh spec was applied yet');
          return coordinator.spec;
        },
      },
      PUT: {
        role: 'operator',
        action: 'spec.apply',
        bodyType: SPEC_CONTENT_TYPE,
        answer: (coordinator, { query, body }, attempt) => {
          const { dryRun, allowMassRemoval } = parseQuery(applySchema, query);
          return applySpec(coordinator, body, {
            dryRun: dryRun === 'true',
            allowMassRemoval: allowMassRemoval === 'true',
            attempt,
          });
        },
      },
    },
  ],
  [
    '/v1/unsigned',
    {
      GET: {
        role: 'viewer',
        answer: (coordinator, { query }) => coordinator.delivery.unsigned(parseQuery(afterSchema, query).after),
      },
    },
  ],
  [
    '/v1/signatures',
    {
      POST: {
        role: 'operator',
        action: 'state.sign',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          const { signatures } = parseJson(signaturesRequestSchema, body);
          return signed(() => ({ nodes: coordinator.delivery.sign(signatures, attempt) }));
        },
      },
    },
  ],
  [
    '/v1/signing-key',
    {
      GET: { role: 'viewer', answer: (coordinator) => coordinator.delivery.signingKey() },
      POST: {
        role: 'admin',
        action: 'signing-key.rotate',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          const change = parseJson(signingKeyRequestSchema, body);
          return signed(() => coordinator.delivery.changeKey(change, attempt));
        },
      },
    },
  ],
  [
    '/v1/tokens',
    {
      GET: { role: 'viewer', answer: (coordinator) => ({ tokens: coordinator.tokens.list() }) },
      POST: {
        role: 'operator',
        action: 'token.create',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          const order = parseJson(tokenRequestSchema, body);
          return 'node' in order
            ? coordinator.tokens.issue(order.node, order.ttlSeconds, attempt)
            : coordinator.tokens.issueForGroup(order.group, order.uses, order.ttlSeconds, attempt);
        },
      },
      DELETE: {
        role: 'operator',
        action: 'token.revoke',
        answer: (coordinator, { query }, attempt) => {
          const { id } = parseQuery(tokenIdSchema, query);
          coordinator.tokens.revoke(id, attempt);
          return { id };
        },
      },
    },
  ],
  [
    '/v1/nodes',
    {
      GET: {
        role: 'viewer',
        answer: (coordinator) => ({
          nodes: coordinator.views.nodes(),
          caNotAfterMs: coordinator.caNotAfterMs,
          signingProblem: coordinator.delivery.signingProblem,
        }),
      },
    },
  ],
  [
    '/v1/nodes/revoke',
    {
      POST: {
        role: 'operator',
        action: 'node.revoke',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          const { node, reason } = parseJson(revokeRequestSchema, body);
          return coordinator.members.revoke(node, reason, attempt);
        },
      },
    },
  ],
  [
    '/v1/nodes/readmit',
    {
      POST: {
        role: 'operator',
        action: 'node.readmit',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          return coordinator.members.readmit(parseJson(readmitRequestSchema, body).node, attempt);
        },
      },
    },
  ],
  ['/v1/links', { GET: { role: 'viewer', answer: (coordinator) => ({ links: coordinator.views.links() }) } }],
  ['/v1/status', { GET: { role: 'viewer', answer: (coordinator) => coordinator.views.status() } }],
  [
    '/v1/backup',
    {
      GET: {
        role: 'admin',
        recorded: 'backup',
        stream: async (coordinator, { query }, response, signal) => {
          const { keys } = parseQuery(backupSchema, query);
          await sendBackup(coordinator.backup({ withKeys: keys === 'true' }), response, signal);
        },
      },
    },
  ],
  [
    '/v1/events',
    {
      GET: {
        role: 'viewer',
        stream: (coordinator, { query }, response, signal) => streamEvents(coordinator.events, query, response, signal),
      },
    },
  ],
  [
    '/v1/api-tokens',
    {
      GET: { role: 'admin', answer: (coordinator) => ({ tokens: coordinator.apiTokens.list() }) },
      POST: {
        role: 'admin',
        action: 'api-token.create',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          return coordinator.apiTokens.create(parseJson(apiTokenRequestSchema, body), attempt);
        },
      },
      DELETE: {
        role: 'admin',
        action: 'api-token.revoke',
        answer: (coordinator, { query }, attempt) =>
          coordinator.apiTokens.revoke(parseQuery(apiTokenNameSchema, query).name, attempt),
      },
    },
  ],
  [
    '/v1/audit',
    {
      GET: {
        role: 'admin',
        stream: (coordinator, { query }, response, signal) => streamAudit(coordinator.audit, query, response, signal),
      },
    },
  ],
  ['/v1/audit/ends', { GET: { role: 'admin', answer: ({ audit }) => ({ start: audit.start, head: audit.head }) } }],
  [
    '/v1/audit/prune',
    {
      POST: {
        role: 'admin',
        action: 'audit.prune',
        answer: (coordinator, { query, body }, attempt) => {
          parseQuery(nothingSchema, query);
          return pruneAudit(coordinator.audit, parseJson(auditPruneSchema, body), attempt);
        },
      },
    },
  ],
]);

function applySpec(coordinator: Coordinator, text: string, options: ApplySpecOptions): unknown {
  try {
    return coordinator.rollout.apply(text, options);
  } catch (error) {
    if (error instanceof MassRemovalRefused) {
      const details = error.removals.map(({ node, loss }) => `nodes.${node}: would lose ${loss}`);
      const message =
        'the mesh spec takes most of what they have from some nodes; nothing was changed. If that is meant: --allow-mass-removal';
      throw new ApiRefused('mass-removal', message, { details, cause: error });
    }
    if (!(error instanceof SpecRefused)) throw error;
    const count = error.mistakes.length;
    const message = `the mesh spec has ${count} ${count === 1 ? 'mistake' : 'mistakes'}; nothing was changed`;
    throw new ApiRefused('spec-refused', message, { details: error.mistakes, cause: error });
  }
}

/** What comes with the operator's signature, or is about the key. */
function signed<T>(change: () => T): T {
  try {
    return change();
  } catch (error) {
    if (error instanceof SignaturesRefused) {
      const message = 'not all signatures fit what waits for them; none was taken';
      throw new ApiRefused('signature-refused', message, { details: error.reasons, cause: error });
    }
    if (error instanceof SigningError) throw new ApiRefused('signature-refused', error.message, { cause: error });
    throw error;
  }
}
