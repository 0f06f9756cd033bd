import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { parseDurationSeconds } from '../duration.ts';
import { nodeNameSchema, proposalSchema, SELECTORS_MAX, type LinkId, type NodeName } from '../ike/connection.ts';
import { addressSchema, cidrSchema } from '../ike/traffic-selector.ts';
import { groupNameSchema } from './api.ts';

/** A hub carries one connection per node, and a desired state holds no more than 4096. */
const NODES_MAX = 4000;
/** Of the space that carriers use between themselves and their customers (RFC 6598), so that no site has it. */
const MESH_RANGE_DEFAULT = '100.96.0.0/16';
const LINKS_MAX = 40_000;
const LIFETIME_SECONDS_MAX = 604_800;

const durationSchema = z.union([z.string(), z.number()]).transform((value, context) => {
  const seconds = parseDurationSeconds(String(value));
  if (seconds !== undefined && seconds <= LIFETIME_SECONDS_MAX) return seconds;
  context.addIssue({ code: 'custom', message: `not a duration such as 30s, 20m or 1h, at most 7d: ${value}` });
  return z.NEVER;
});

/** An address, or a name that is not an address with a slip in it (`203.0.113.300`). */
const HOST_NAME = /^(?=.{1,253}$)([A-Za-z0-9-]{1,63}\.)*(?!\d+$)[A-Za-z0-9-]{1,63}$/;
const endpointSchema = z.union([addressSchema, z.string().regex(HOST_NAME)], {
  error: (issue) => `not an address or a host name: ${String(issue.input)}`,
});

const proposals = z.array(proposalSchema).max(16);
const start = z.enum(['start', 'add']);

const ikeSchema = z.strictObject({
  proposals: proposals.default([]),
  lifetime: durationSchema.default(3600),
  margin: durationSchema.default(180),
  keyingTries: z.number().int().min(0).max(1000).default(1),
  mobike: z.boolean().default(false),
  /** ESP in UDP always: a firewall that lets IKE pass and drops ESP would leave tunnels that are up and carry nothing. */
  encap: z.boolean().default(true),
  dpdDelay: durationSchema.default(10),
});

const childSchema = z.strictObject({
  proposals: proposals.default([]),
  lifetime: durationSchema.default(1200),
  margin: durationSchema.default(180),
});

const ikeOverrideSchema = z.strictObject({
  proposals: proposals.exactOptional(),
  lifetime: durationSchema.exactOptional(),
  margin: durationSchema.exactOptional(),
  keyingTries: z.number().int().min(0).max(1000).exactOptional(),
  mobike: z.boolean().exactOptional(),
  encap: z.boolean().exactOptional(),
  dpdDelay: durationSchema.exactOptional(),
});

const childOverrideSchema = z.strictObject({
  proposals: proposals.exactOptional(),
  lifetime: durationSchema.exactOptional(),
  margin: durationSchema.exactOptional(),
});

/** An IPv4 network with room for two addresses of each node, beside the first and the last two. */
const meshRangeSchema = cidrSchema.refine(
  (range) => ipaddr.IPv4.isValidCIDR(range) && Number(range.split('/')[1]) <= 29,
  {
    error: (issue) => `not an IPv4 network of eight addresses or more: ${String(issue.input)}`,
  },
);

const nodeSchema = z
  .strictObject({
    roles: z
      .array(z.enum(['mediator', 'hub']))
      .max(2)
      .default([]),
    endpoint: endpointSchema.exactOptional(),
    endpoints: z.array(endpointSchema).min(1).max(8).exactOptional(),
    /** One less than fits: the mesh address is a selector as well. */
    subnets: z
      .array(cidrSchema)
      .max(SELECTORS_MAX - 1)
      .default([]),
    /** Fixed; the even one of a pair in the mesh's range. Otherwise the coordinator gives the node one, for good. */
    meshAddress: addressSchema.exactOptional(),
    virtualIps: z.array(addressSchema).max(4).default([]),
    /** Of whose tokens this node can use one. */
    groups: z.array(groupNameSchema).max(16).default([]),
    ike: ikeOverrideSchema.default({}),
  })
  .transform(({ endpoint, endpoints, ...rest }, context) => {
    if (endpoint !== undefined && endpoints !== undefined) {
      context.addIssue({ code: 'custom', message: 'has both endpoint and endpoints; write one of them' });
    }
    return { ...rest, endpoints: endpoints ?? (endpoint === undefined ? [] : [endpoint]) };
  });

/** A link in its short form, `[a, b]`, means the long one with all defaults. */
const linkSchema = z.preprocess(
  (value) => (Array.isArray(value) ? { between: value as unknown[] } : value),
  z.strictObject({
    between: z.tuple([nodeNameSchema, nodeNameSchema], { error: 'a link has two node names' }),
    path: z.enum(['auto', 'direct', 'relay']).default('auto'),
    start: start.exactOptional(),
    child: childOverrideSchema.default({}),
  }),
);

/** The form of a mesh spec; its parts may still contradict each other. */
export const meshSpecSchema = z.strictObject({
  nodes: z
    .record(nodeNameSchema, nodeSchema)
    .refine((nodes) => Object.keys(nodes).length <= NODES_MAX, `more than ${NODES_MAX} nodes`)
    // A Map: a node may be called `constructor`. It keeps the operator's order, and the first mediator and hub count.
    .transform((nodes) => new Map(Object.entries(nodes) as [NodeName, z.output<typeof nodeSchema>][])),
  links: z.array(linkSchema).max(LINKS_MAX).default([]),
  /** Where the nodes' mesh addresses come from; `off`: they have none, and no path can be probed. */
  meshRange: z.literal('off').or(meshRangeSchema).default(MESH_RANGE_DEFAULT),
  defaults: z
    .strictObject({
      ike: ikeSchema.prefault({}),
      child: childSchema.prefault({}),
      start: start.default('start'),
    })
    .prefault({}),
});

/** What the operator wrote, complete: every default is filled in, every duration is in seconds. */
export type MeshSpec = Readonly<z.output<typeof meshSpecSchema>>;
export type NodeSpec = Readonly<z.output<typeof nodeSchema>>;
export type LinkSpec = Readonly<z.output<typeof linkSchema>>;

/** The two names in order, joined. Node names hold no `--`, so different pairs have different ids. */
export function linkIdOf(a: NodeName, b: NodeName): LinkId {
  return [a, b].sort().join('--') as LinkId;
}
