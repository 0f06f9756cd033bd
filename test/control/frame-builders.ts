import * as fc from 'fast-check';
import { CONNECTION_STATUSES, linkCauseSchema, natKindSchema, type NodeReport } from '../../src/control/report.ts';
import type { AgentFrame, CoordinatorFrame } from '../../src/control/frames.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const generation = fc.maxSafeNat();
const count = fc.maxSafeNat();
const instant = fc.nat(8_640_000_000_000_000);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/);
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
  }),
  fc.record({ type: fc.constantFrom('ack' as const, 'nack' as const), generation, outcomes }),
  fc.record({ type: fc.constant('report' as const), report }),
  fc.record({
    type: fc.constant('events' as const),
    events: fc.array(
      fc.record({ atMs: instant, kind: text, connection: nullable(text), child: nullable(text), message: text }),
      { maxLength: 20 },
    ),
  }),
);

/** A state as the coordinator could send it: `-0` and lone surrogates have no place in MessagePack. */
const states = fc
  .jsonValue({ maxDepth: 6, stringUnit: 'grapheme' })
  .map((value): unknown => JSON.parse(JSON.stringify(value).replaceAll('"__proto__"', '"proto"')));

/** Any frame that the coordinator may send. */
export const coordinatorFrames: fc.Arbitrary<CoordinatorFrame> = fc.oneof(
  fc.record({ type: fc.constant('unchanged' as const), epoch: text, generation }),
  fc.record({ type: fc.constant('snapshot' as const), epoch: text, generation, digest, state: states }),
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
  protocol: 1,
  agentVersion: '0.1.0',
  epoch: null,
  generation: 0,
  digest: null,
};
