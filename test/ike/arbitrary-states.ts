import * as fc from 'fast-check';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';

/** Desired states as the schema allows them, with text that is as wild as it may be. */

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
const node = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const identity = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((text) => /^[^"'{}\\\p{Cc}]+$/u.test(text))
  .chain((text) =>
    fc.constantFrom(text, `C=CN, CN=${text}`, 'updown=/bin/sh', 'file:/etc/shadow', '%any', '#00', text),
  );
const proposals = fc.array(fc.stringMatching(/^[a-z0-9_-]{1,20}$/), { maxLength: 3 });
const seconds = fc.nat(604_800);
const cidr = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.${a}.${b}.0/24`);
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[A-Za-z0-9.-]{1,30}$/));
const start = fc.constantFrom('add', 'start');

const ike = fc.record({
  proposals,
  lifetimeSeconds: seconds,
  marginSeconds: seconds,
  keyingTries: fc.nat(1000),
  mobike: fc.boolean(),
  encap: fc.boolean(),
  dpdDelaySeconds: seconds,
});

const child = fc.record({
  name,
  link: fc.constant('edge1--remote'),
  localSubnets: fc.array(cidr, { minLength: 1, maxLength: 3 }),
  remoteSubnets: fc.array(cidr, { minLength: 1, maxLength: 3 }),
  priority: fc.integer({ min: 1, max: 65_535 }),
  proposals,
  lifetimeSeconds: seconds,
  marginSeconds: seconds,
  start,
});

const common = { name: name.map((text) => `cygnet-${text}`), localId: identity, remoteId: identity, ike };
const children = fc.uniqueArray(child, { selector: (each) => each.name, maxLength: 3 });
const remote = {
  remoteAddresses: fc.array(address, { minLength: 1, maxLength: 3 }),
  virtualIps: fc.array(fc.ipV4(), { maxLength: 2 }),
};

const connections = fc.uniqueArray(
  fc.oneof(
    fc.record({ kind: fc.constant('mediation-server'), ...common, barred: fc.array(node, { maxLength: 2 }) }),
    fc.record({ kind: fc.constant('mediation-client'), ...common, mediator: node, ...remote, start }),
    fc.record({
      kind: fc.constant('mediated-peer'),
      ...common,
      peer: node,
      mediatedBy: fc.constant('cygnet-medsrv'),
      mediationPeer: identity,
      children,
    }),
    fc.record({ kind: fc.constant('hub'), ...common, peer: node, children }),
    fc.record({ kind: fc.constant('spoke'), ...common, peer: node, ...remote, children }),
  ),
  { selector: (each) => each.name, maxLength: 5 },
);

/** What every mediated connection above is mediated by. */
const medsrv = fc.record({
  kind: fc.constant('mediation-client'),
  ...common,
  name: fc.constant('cygnet-medsrv'),
  mediator: node,
  ...remote,
  start,
});

export const arbitraryStates: fc.Arbitrary<DesiredState> = fc
  .record({
    version: fc.constant(1),
    mesh: fc.string({ minLength: 1, maxLength: 63 }),
    node,
    connections: fc
      .tuple(medsrv, connections)
      .map(([first, rest]) => [first, ...rest.filter((each) => each.name !== first.name)]),
    links: fc.constant([]),
  })
  .map((state) => desiredStateSchema.parse(state));
