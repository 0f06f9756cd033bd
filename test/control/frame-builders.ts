import * as fc from 'fast-check';
import { CONNECTION_STATUSES, linkCauseSchema, natKindSchema, type NodeReport } from '../../src/control/report.ts';
import { PROTOCOL_VERSION, type AgentFrame, type CoordinatorFrame } from '../../src/control/frames.ts';
import { publicKeySchema } from '../../src/control/signing-key.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const generation = fc.maxSafeNat();
const count = fc.maxSafeNat();
const instant = fc.nat(8_640_000_000_000_000);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
const publicKey = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/).map((key) => publicKeySchema.parse(key));
const nullable = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null });

const outcomes = fc.array(fc.record({ resource: text, ok: fc.boolean(), message: nullable(text) }), { maxLength: 20 });

const connection = fc.record({
  name: text,
  kind: text,
  peer: nullable(text),
  status: fc.constantFrom(...CONNECTION_STATUSES),
  problem: nullable(text),
  ikeSas: fc.constant([] as NodeReport['connections'][number]['ikeSas']),
});

const nat = fc.constantFrom(...natKindSchema.options);

const reading = fc.record({
  health: fc.constantFrom('unknown' as const, 'alive' as const, 'dead' as const),
  rttMs: nullable(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true })),
  loss: nullable(fc.double({ min: 0, max: 1, noNaN: true })),
});

const link = fc.record({
  id: text,
  peer: text,
  path: fc.constantFrom('direct' as const, 'relay' as const, 'none' as const, 'unknown' as const),
  sinceMs: nullable(instant),
  problem: nullable(text),
  cause: nullable(fc.constantFrom(...linkCauseSchema.options)),
  direct: nullable(reading),
  relay: nullable(reading),
  directFailures: count,
});

const report: fc.Arbitrary<NodeReport> = fc.record({
  agentVersion: text,
  atMs: instant,
  charon: fc.record({
    connected: fc.boolean(),
    version: nullable(text),
    sinceMs: nullable(instant),
    idleWorkers: nullable(count),
    problem: nullable(text),
  }),
  generation: nullable(count),
  nat,
  connections: fc.array(connection, { maxLength: 5 }),
  links: fc.array(link, { maxLength: 5 }),
});

/** Any frame that a node may send. */
export const agentFrames: fc.Arbitrary<AgentFrame> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    protocol: fc.integer(),
    agentVersion: text,
    epoch: nullable(text),
    generation,
    digest: nullable(digest),
    keys: fc.array(publicKey, { maxLength: 2 }),
  }),
  fc.record({ type: fc.constantFrom('ack' as const, 'nack' as const), epoch: nullable(text), generation, outcomes }),
  fc.record({ type: fc.constant('resend' as const), reason: text }),
  fc.record({ type: fc.constant('report' as const), report }),
  fc.record({
    type: fc.constant('events' as const),
    events: fc.array(
      fc.record({ atMs: instant, kind: text, connection: nullable(text), child: nullable(text), message: text }),
      { maxLength: 20 },
    ),
  }),
);

const signed = fc.record({ text, key: publicKey, signature: text });

/** Any frame that the coordinator may send. */
export const coordinatorFrames: fc.Arbitrary<CoordinatorFrame> = fc.oneof(
  fc.record({ type: fc.constant('unchanged' as const), signed }),
  fc.record({ type: fc.constant('snapshot' as const), signed, state: text }),
  fc.record({ type: fc.constant('delta' as const), signed, base: digest, delta: text }),
  fc.record({
    type: fc.constant('keys' as const),
    introductions: fc.array(signed, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    type: fc.constant('links' as const),
    hints: fc.array(
      fc.record({
        link: text,
        mediator: nullable(text),
        peerOnline: fc.boolean(),
        peerRegistered: fc.boolean(),
        peerNat: nat,
        initiate: fc.boolean(),
      }),
      { maxLength: 20 },
    ),
  }),
);

/** The first frame of a node that holds nothing yet. */
export const firstHello: Extract<AgentFrame, { type: 'hello' }> = {
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  agentVersion: '0.1.0',
  epoch: null,
  generation: 0,
  digest: null,
  keys: [],
};
