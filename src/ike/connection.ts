import { z } from 'zod';
import { addressSchema, cidrSchema } from './traffic-selector.ts';

/**
 * What a node may be told to load into charon. The schemas are closed (`strictObject`): an updown script, a file, a
 * handle, a module or a URI has no field here and no way through, because who can load one is root on the node.
 */

/** All that Cygnet loads into charon carries this prefix; everything else there belongs to someone else. */
export const CONNECTION_PREFIX = 'cygnet-';
/** What a node makes up by itself, to move traffic between tunnels. The desired state can name none of these. */
export const STEERING_PREFIX = `${CONNECTION_PREFIX}via-`;

const nameText = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$/, 'letters, digits, ".", "_" and "-" only');

/** Name of a connection that charon has loaded; always begins with {@link CONNECTION_PREFIX}. */
export const connectionNameSchema = nameText
  .refine((name) => name.startsWith(CONNECTION_PREFIX), `must begin with ${CONNECTION_PREFIX}`)
  .brand<'ConnectionName'>();
export type ConnectionName = z.output<typeof connectionNameSchema>;

/** Name of a CHILD SA's configuration, unique within its connection. */
export const childNameSchema = nameText.brand<'ChildName'>();
export type ChildName = z.output<typeof childNameSchema>;

/** `a--b`, the two node names in order. */
export const linkIdSchema = z
  .string()
  .min(4)
  .max(140)
  .regex(/^[a-z0-9-]+$/)
  .brand<'LinkId'>();
export type LinkId = z.output<typeof linkIdSchema>;

export const nodeNameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9]|-(?!-)){0,61}[a-z0-9]$|^[a-z0-9]$/,
    'lower case letters, digits and single "-", at most 63',
  )
  .brand<'NodeName'>();
export type NodeName = z.output<typeof nodeNameSchema>;

/**
 * An IKE identity: a subject DN (`C=CN, O=Local Cluster, CN=edge1`), a domain name or an address. No quotes, no braces,
 * no control characters. `*` as a whole RDN value or as the whole text is a wildcard, for the remote side only.
 */
export const identitySchema = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^"'{}\\\p{Cc}]+$/u, 'no quotes, braces, backslashes or control characters');

/** Cipher suites in strongSwan's own words, `aes256gcm16-prfsha384-ecp384`. */
export const proposalSchema = z
  .string()
  .max(128)
  .regex(/^[a-z0-9_-]+$/, 'a proposal such as aes128gcm16-prfsha256-ecp256');

const seconds = z.number().int().min(0).max(604_800);

export const ikeParametersSchema = z.strictObject({
  /** Empty: charon's default proposal. */
  proposals: z.array(proposalSchema).max(16),
  /** Age at which the IKE SA is given up (ipsec.conf `ikelifetime`). 0: never. */
  lifetimeSeconds: seconds,
  /** Rekeying starts between one and two margins before that (`rekeymargin`). */
  marginSeconds: seconds,
  /** Tries before charon gives a set-up up; 0 means for ever (`keyingtries`). */
  keyingTries: z.number().int().min(0).max(1000),
  /** Always false on mediation and mediated connections: charon's mediation needs it so. */
  mobike: z.boolean(),
  /** ESP in UDP also where no NAT asks for it (`forceencaps`). One end that wants it is enough. */
  encap: z.boolean(),
  /** Idle time before a liveness check; 0 turns it off, and then a dead peer is never noticed. */
  dpdDelaySeconds: seconds,
});
export type IkeParameters = Readonly<z.output<typeof ikeParametersSchema>>;

/** IKEv2 counts the selectors of one end in one byte. */
export const SELECTORS_MAX = 255;

export const childConfigSchema = z.strictObject({
  name: childNameSchema,
  link: linkIdSchema,
  localSubnets: z.array(cidrSchema).min(1).max(SELECTORS_MAX),
  remoteSubnets: z.array(cidrSchema).min(1).max(SELECTORS_MAX),
  /** IPsec policy priority, lower wins: 1000 direct, 2000 relay. */
  priority: z.number().int().min(1).max(65_535),
  /** Empty: charon's default proposal. */
  proposals: z.array(proposalSchema).max(16),
  /** Age at which the CHILD SA is given up (`keylife`). 0: never. */
  lifetimeSeconds: seconds,
  /** Rekeying starts between one and two margins before that (`rekeymargin`). */
  marginSeconds: seconds,
  /** `start`: this side initiates it and keeps it up. `add`: it only answers. */
  start: z.enum(['add', 'start']),
});
export type ChildConfig = Readonly<z.output<typeof childConfigSchema>> & {
  /** The node's own choice, where it moves traffic by traps: CHILD SAs without policies, of this reqid. */
  readonly reqid?: number;
  /** The node's own choice, where it moves traffic by routes: the XFRM interface that they belong to. */
  readonly ifId?: number;
};

const base = {
  name: connectionNameSchema.refine(
    (name) => !name.startsWith(STEERING_PREFIX),
    `must not begin with ${STEERING_PREFIX}`,
  ),
  /** The node at the other end; absent on a mediation server, which answers all nodes. */
  localId: identitySchema,
  remoteId: identitySchema,
  ike: ikeParametersSchema,
};
const remoteAddresses = z
  .array(
    addressSchema.or(
      z
        .string()
        .max(253)
        .regex(/^[A-Za-z0-9.-]+$/, 'an address or a host name'),
    ),
  )
  .min(1)
  .max(8);
const virtualIps = z.array(addressSchema).max(4);
const children = z.array(childConfigSchema).max(4096);

/** Names on the list of a mediation server. */
export const BARRED_MAX = 4096;

export const connectionSchema = z.discriminatedUnion('kind', [
  /** On a mediator: answers the mediation clients of all nodes, under one of their identities: adding a node never reloads it. */
  z.strictObject({
    kind: z.literal('mediation-server'),
    ...base,
    /** Revoked nodes: `remoteId` with one of these in place of its `*` is an identity whose IKE SA is ended. */
    barred: z.array(nodeNameSchema).max(BARRED_MAX).exactOptional(),
  }),
  /** `medsrv` on a node: registers at one mediator. Has no CHILD SA. */
  z.strictObject({
    kind: z.literal('mediation-client'),
    ...base,
    mediator: nodeNameSchema,
    remoteAddresses,
    virtualIps,
    start: z.enum(['add', 'start']),
  }),
  /** A direct tunnel set up through a mediator. */
  z.strictObject({
    kind: z.literal('mediated-peer'),
    ...base,
    peer: nodeNameSchema,
    mediatedBy: connectionNameSchema,
    /** The peer's identity on its own mediation connection. charon 5.9.8 crashes without it. */
    mediationPeer: identitySchema,
    children,
  }),
  /** On a hub: answers one spoke. */
  z.strictObject({ kind: z.literal('hub'), ...base, peer: nodeNameSchema, children }),
  /** On a node: the tunnel to a hub. */
  z.strictObject({ kind: z.literal('spoke'), ...base, peer: nodeNameSchema, remoteAddresses, virtualIps, children }),
]);
export type Connection = Readonly<z.output<typeof connectionSchema>>;
export type ConnectionKind = Connection['kind'];
export type ConnectionOf<K extends ConnectionKind> = Extract<Connection, { kind: K }>;

/** The CHILD SA configurations of any connection; mediation connections have none. */
export function childrenOf(connection: Connection): readonly ChildConfig[] {
  return 'children' in connection ? connection.children : [];
}
