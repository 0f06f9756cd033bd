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

const addresses = fc.oneof(
  fc.record({ mesh: fc.ipV4(), relay: fc.ipV4() }),
  fc.record({ mesh: fc.ipV6(), relay: fc.ipV4() }),
);

const link = fc.record(
  {
    id: fc.stringMatching(/^[a-z0-9]{2,8}--[a-z0-9]{2,8}$/),
    peer: node,
    localSubnets: fc.array(cidr, { maxLength: 3 }),
    remoteSubnets: fc.array(cidr, { maxLength: 3 }),
    peerAddresses: addresses,
    /** Which of the children there are it has as its ways; see {@link withWays}. */
    direct: fc.array(fc.nat(100), { maxLength: 3 }),
    relay: fc.array(fc.nat(100), { maxLength: 3 }),
  },
  { requiredKeys: ['id', 'peer', 'localSubnets', 'remoteSubnets', 'direct', 'relay'] },
);

type Connections = readonly { readonly name: string; readonly children?: readonly { readonly name: string }[] }[];

function withWays(
  all: Connections,
  links: readonly { readonly direct: number[]; readonly relay: number[] }[],
): unknown {
  const refs = all.flatMap(({ name: connection, children: named = [] }) =>
    named.map((each) => ({ connection, child: each.name })),
  );
  const chosen = (numbers: readonly number[]): typeof refs =>
    refs.length === 0 ? [] : numbers.map((number) => refs[number % refs.length]!);
  return links.map((each) => ({ ...each, direct: chosen(each.direct), relay: chosen(each.relay) }));
}

export const arbitraryStates: fc.Arbitrary<DesiredState> = fc
  .record(
    {
      version: fc.constant(1),
      mesh: fc.string({ minLength: 1, maxLength: 63 }),
      node,
      addresses,
      connections: fc
        .tuple(medsrv, connections)
        .map(([first, rest]) => [first, ...rest.filter((each) => each.name !== first.name)]),
      links: fc.uniqueArray(link, { selector: ({ id }) => id, maxLength: 3 }),
    },
    { requiredKeys: ['version', 'mesh', 'node', 'connections', 'links'] },
  )
  .map(({ links, ...state }) => desiredStateSchema.parse({ ...state, links: withWays(state.connections, links) }));
