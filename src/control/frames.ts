import { z } from 'zod';
import { FRAME_BYTES_MAX } from './limits.ts';
import { natKindSchema, nodeEventSchema, nodeReportSchema } from './report.ts';
import { publicKeySchema } from './signing-key.ts';
import { signedSchema } from './statement.ts';

/** Version of this protocol; both ends close with {@link CLOSE_CODES}.protocol when they differ. */
export const PROTOCOL_VERSION = 2;

/** WebSocket close codes of the control channel (private range). */
export const CLOSE_CODES = {
  protocol: 4000,
  badFrame: 4001,
  unknownNode: 4003,
  /** The node's certificate has reached its end while the channel was open. */
  certificateExpired: 4007,
  /** The same node has opened a newer channel. */
  replaced: 4009,
  /** The operator has thrown the node out. Only readmission and a new enrolment help. */
  revoked: 4010,
  /** The node sends far more than a node has to tell. */
  tooMuch: 4029,
} as const;

const generation = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const text = z.string().max(1024);
/** A state or a delta, in JSON: its digest is one of bytes. */
const json = z.string().max(FRAME_BYTES_MAX);

/** Signing keys that a node trusts at once: during a rotation the former one as well. */
export const TRUSTED_KEYS_MAX = 2;

/** Rotations that a node may have missed; one that has missed more is enrolled again. */
export const INTRODUCTIONS_MAX = 64;

/** What became of one resource of a desired state. */
export const resourceOutcomeSchema = z.strictObject({
  /** A connection's name, or `credentials`, or `state` when the whole was refused. */
  resource: text,
  ok: z.boolean(),
  /** Why not, in words; charon's own message where there is one. */
  message: text.nullable(),
});
export type ResourceOutcome = Readonly<z.output<typeof resourceOutcomeSchema>>;

const outcomesOfState = {
  /** Null when a state was refused that does not tell its epoch. */
  epoch: text.nullable(),
  generation,
  outcomes: z.array(resourceOutcomeSchema).max(8192),
};

/** From a node to the coordinator. */
export const agentFrameSchema = z.discriminatedUnion('type', [
  /** First frame. Generation 0 and digest null: nothing held yet. */
  z.strictObject({
    type: z.literal('hello'),
    protocol: z.number().int(),
    agentVersion: text,
    epoch: text.nullable(),
    generation,
    digest: digest.nullable(),
    /** The signing keys that it trusts, the newest first. */
    keys: z.array(publicKeySchema).max(TRUSTED_KEYS_MAX),
    /** PEM: what it shows in IKE. A coordinator that was restored may not know of it, and could not revoke it. */
    ikeCertificate: z.string().max(16_384).exactOptional(),
  }),
  /** All resources of this generation are in charon. */
  z.strictObject({ type: z.literal('ack'), ...outcomesOfState }),
  /** At least one is not, or the state as a whole was refused; sent again when the outcomes change. */
  z.strictObject({ type: z.literal('nack'), ...outcomesOfState }),
  /** A delta or an `unchanged` does not fit what this node holds: it asks for the snapshot. */
  z.strictObject({ type: z.literal('resend'), reason: text }),
  z.strictObject({ type: z.literal('report'), report: nodeReportSchema }),
  z.strictObject({ type: z.literal('events'), events: z.array(nodeEventSchema).max(1000) }),
]);
export type AgentFrame = Readonly<z.output<typeof agentFrameSchema>>;

/** What the coordinator knows of a link that the node cannot see for itself. Not part of the desired state. */
export const linkHintSchema = z.strictObject({
  link: text,
  /** The mediator at which both ends are registered now, to be used for the direct path; null when there is none. */
  mediator: text.nullable(),
  /** The peer has a control channel; it may be registered at the mediator without one. */
  peerOnline: z.boolean(),
  /** The peer is registered at a mediator of the link. */
  peerRegistered: z.boolean(),
  peerNat: natKindSchema,
  /** This node is the one to initiate the direct path; never both ends at once. */
  initiate: z.boolean(),
});
export type LinkHint = Readonly<z.output<typeof linkHintSchema>>;

/** From the coordinator to a node. */
export const coordinatorFrameSchema = z.discriminatedUnion('type', [
  /** The node holds the right state already; the statement may be a new one about it. */
  z.strictObject({ type: z.literal('unchanged'), signed: signedSchema }),
  /** The whole desired state in JSON. What is signed is its digest. */
  z.strictObject({ type: z.literal('snapshot'), signed: signedSchema, state: json }),
  /** What makes the desired state out of the one with the digest `base`; what is signed is the digest of the result. */
  z.strictObject({ type: z.literal('delta'), signed: signedSchema, base: digest, delta: json }),
  /** Signing keys that came after the one that the node trusts, each introduced by the one before it. */
  z.strictObject({ type: z.literal('keys'), introductions: z.array(signedSchema).min(1).max(INTRODUCTIONS_MAX) }),
  /** The list of revoked certificates (DER in base64), when there is a new one and after the hello. The CA has signed it. */
  z.strictObject({ type: z.literal('crl'), der: z.string().max(90_000) }),
  /** All of the node's link hints; replaces the last ones. */
  z.strictObject({ type: z.literal('links'), hints: z.array(linkHintSchema).max(4096) }),
]);
export type CoordinatorFrame = Readonly<z.output<typeof coordinatorFrameSchema>>;
