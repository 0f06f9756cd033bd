import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childrenOf } from '../../src/ike/connection.ts';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';
import { canonicalJson } from '../../src/json.ts';
import { compiled, connectionOf, SEED_SPEC, stateOf } from './spec-builders.ts';

const ike = {
  proposals: [],
  lifetimeSeconds: 3600,
  marginSeconds: 180,
  keyingTries: 1,
  mobike: false,
  encap: true,
  dpdDelaySeconds: 10,
};
const timing = { proposals: [], lifetimeSeconds: 1200, marginSeconds: 180 };
const dn = (name: string): string => `C=CN, O=Local Cluster, CN=${name}`;
const [EDGE1, REMOTE, MASTER1] = [['7.7.7.0/24'], ['7.7.8.0/24'], ['10.233.97.0/24']];

describe("the seed's mesh", () => {
  const states = compiled(SEED_SPEC);

  it('gives an edge its registration, its peer and its hub tunnel', () => {
    expect(stateOf(states, 'edge1')).toEqual({
      version: 1,
      mesh: 'seed',
      node: 'edge1',
      connections: [
        {
          kind: 'spoke',
          name: 'cygnet-hub-master1',
          localId: 'edge1.seed',
          remoteId: 'master1.seed',
          ike,
          peer: 'master1',
          remoteAddresses: ['203.0.113.10'],
          virtualIps: [],
          children: [
            {
              name: 'edge1--master1',
              link: 'edge1--master1',
              localSubnets: EDGE1,
              remoteSubnets: MASTER1,
              priority: 1000,
              start: 'start',
              ...timing,
            },
            {
              name: 'edge1--remote',
              link: 'edge1--remote',
              localSubnets: EDGE1,
              remoteSubnets: REMOTE,
              priority: 2000,
              start: 'start',
              ...timing,
            },
          ],
        },
        {
          kind: 'mediation-client',
          name: 'cygnet-medsrv-master1',
          localId: dn('edge1'),
          remoteId: dn('master1'),
          ike,
          mediator: 'master1',
          remoteAddresses: ['203.0.113.10'],
          virtualIps: [],
          start: 'start',
        },
        {
          kind: 'mediated-peer',
          name: 'cygnet-peer-remote',
          localId: dn('edge1'),
          remoteId: dn('remote'),
          ike,
          peer: 'remote',
          mediatedBy: 'cygnet-medsrv-master1',
          mediationPeer: dn('remote'),
          children: [
            {
              name: 'edge1--remote',
              link: 'edge1--remote',
              localSubnets: EDGE1,
              remoteSubnets: REMOTE,
              priority: 1000,
              start: 'start',
              ...timing,
            },
          ],
        },
      ],
      links: [
        {
          id: 'edge1--master1',
          peer: 'master1',
          localSubnets: EDGE1,
          remoteSubnets: MASTER1,
          direct: [{ connection: 'cygnet-hub-master1', child: 'edge1--master1' }],
          relay: [],
        },
        {
          id: 'edge1--remote',
          peer: 'remote',
          localSubnets: EDGE1,
          remoteSubnets: REMOTE,
          direct: [{ connection: 'cygnet-peer-remote', child: 'edge1--remote' }],
          relay: [{ connection: 'cygnet-hub-master1', child: 'edge1--remote' }],
        },
      ],
    });
  });

  it('gives the master its mediation servers, and the mirror of each spoke’s tunnel, which it only answers', () => {
    const state = stateOf(states, 'master1');
    expect(state.connections.map(({ name }) => name)).toEqual([
      'cygnet-mediation',
      'cygnet-mediation.again',
      'cygnet-spoke-edge1',
      'cygnet-spoke-remote',
    ]);
    expect(connectionOf(state, 'cygnet-mediation')).toEqual({
      kind: 'mediation-server',
      name: 'cygnet-mediation',
      localId: dn('master1'),
      remoteId: dn('*'),
      ike,
    });
    expect(connectionOf(state, 'cygnet-mediation.again')).toEqual({
      kind: 'mediation-server',
      name: 'cygnet-mediation.again',
      localId: dn('master1'),
      remoteId: '*.seed',
      ike,
    });
    expect(connectionOf(state, 'cygnet-spoke-edge1')).toEqual({
      kind: 'hub',
      name: 'cygnet-spoke-edge1',
      localId: 'master1.seed',
      remoteId: 'edge1.seed',
      ike,
      peer: 'edge1',
      children: [
        {
          name: 'edge1--master1',
          link: 'edge1--master1',
          localSubnets: MASTER1,
          remoteSubnets: EDGE1,
          priority: 1000,
          start: 'add',
          ...timing,
        },
        {
          name: 'edge1--remote',
          link: 'edge1--remote',
          localSubnets: REMOTE,
          remoteSubnets: EDGE1,
          priority: 2000,
          start: 'add',
          ...timing,
        },
      ],
    });
    expect(state.links.map(({ id, direct, relay }) => [id, direct.map(({ connection }) => connection), relay])).toEqual(
      [
        ['edge1--master1', ['cygnet-spoke-edge1'], []],
        ['master1--remote', ['cygnet-spoke-remote'], []],
      ],
    );
  });

  it('asks for virtual addresses on the mediation connection only', () => {
    const state = stateOf(states, 'remote');
    expect(connectionOf(state, 'cygnet-medsrv-master1')).toMatchObject({ virtualIps: ['1.1.1.236'] });
    expect(connectionOf(state, 'cygnet-hub-master1')).toMatchObject({ virtualIps: [] });
  });

  it('does not depend on the order of links, nor of the ends of one', () => {
    const lines = SEED_SPEC.trimEnd().split('\n');
    const reordered = [...lines.slice(0, 5), '  - [master1, remote]', '  - [remote, edge1]', '  - [edge1, master1]'];
    expect(canonicalJson([...compiled(reordered.join('\n'))])).toBe(canonicalJson([...states]));
  });
});

describe('options', () => {
  it('path relay has no direct tunnel, path direct no relay', () => {
    const text = SEED_SPEC.replace('[edge1, remote]', '{ between: [edge1, remote], path: PATH }');
    const relay = stateOf(compiled(text.replace('PATH', 'relay')), 'edge1');
    const direct = stateOf(compiled(text.replace('PATH', 'direct')), 'edge1');
    expect(relay.connections.map(({ name }) => name)).toEqual(['cygnet-hub-master1']);
    expect(relay.links[1]).toMatchObject({ direct: [], relay: [{ connection: 'cygnet-hub-master1' }] });
    expect(childrenOf(connectionOf(direct, 'cygnet-hub-master1')).map(({ name }) => name)).toEqual(['edge1--master1']);
    expect(direct.links[1]).toMatchObject({ direct: [{ connection: 'cygnet-peer-remote' }], relay: [] });
  });

  it('a link has its own start and child parameters, a node its own IKE parameters', () => {
    const text = SEED_SPEC.replace(
      '[edge1, remote]',
      '{ between: [edge1, remote], start: add, child: { lifetime: 30m, proposals: [aes256gcm16] } }',
    ).replace('edge1:   {', 'edge1:   { ike: { dpdDelay: 30s, mobike: true, encap: false },');
    const state = stateOf(compiled(text), 'edge1');
    const [child] = childrenOf(connectionOf(state, 'cygnet-peer-remote'));
    expect(child).toMatchObject({
      start: 'add',
      lifetimeSeconds: 1800,
      marginSeconds: 180,
      proposals: ['aes256gcm16'],
    });
    expect(connectionOf(state, 'cygnet-hub-master1').ike).toMatchObject({
      dpdDelaySeconds: 30,
      mobike: true,
      encap: false,
    });
    expect(connectionOf(state, 'cygnet-peer-remote').ike).toMatchObject({ dpdDelaySeconds: 30, mobike: false });
    expect(connectionOf(state, 'cygnet-medsrv-master1').ike).toMatchObject({ mobike: false });
  });

  it.each([
    ['[edge1, remote]', 'start'],
    ['[edge1, master1]', 'add'],
  ])('with start: start on %s alone, a node’s registration is to %s', (ends, start) => {
    const link = `{ between: ${ends}, start: start }`;
    const state = stateOf(compiled(`defaults: { start: add }\n${SEED_SPEC.replace(ends, link)}`), 'edge1');
    expect(connectionOf(state, 'cygnet-medsrv-master1')).toMatchObject({ start });
  });

  it('registers at every mediator, and meets peers at the first of the spec', () => {
    const text = SEED_SPEC.replace('  edge1: ', '  alpha: { roles: [mediator], endpoint: 203.0.113.11 }\n  edge1: ');
    const state = stateOf(compiled(text), 'edge1');
    expect(state.connections.map(({ name }) => name)).toContain('cygnet-medsrv-alpha');
    expect(connectionOf(state, 'cygnet-peer-remote')).toMatchObject({ mediatedBy: 'cygnet-medsrv-master1' });
  });

  const hub2 = '  hub2: { roles: [hub], endpoint: 203.0.113.12, subnets: [10.9.0.0/24] }';
  const withHub2 = SEED_SPEC.replace('links:\n', `${hub2}\nlinks:\n  - [master1, hub2]\n`);

  it('links two hubs with one as the spoke of the other', () => {
    const states = compiled(withHub2);
    expect(stateOf(states, 'hub2').connections.map(({ name, kind }) => [name, kind])).toContainEqual([
      'cygnet-spoke-master1',
      'hub',
    ]);
    expect(stateOf(states, 'master1').connections.map(({ name }) => name)).toContain('cygnet-hub-hub2');
  });

  it('relays through every hub, and prefers them in the order of the spec', () => {
    const states = compiled(withHub2);
    for (const end of ['edge1', 'remote']) {
      const state = stateOf(states, end);
      const priorities = ['cygnet-hub-master1', 'cygnet-hub-hub2'].map(
        (name) => childrenOf(connectionOf(state, name)).find((child) => child.name === 'edge1--remote')?.priority,
      );
      expect(priorities).toEqual([2000, 2001]);
      expect(state.links.find(({ id }) => id === 'edge1--remote')?.relay).toEqual([
        { connection: 'cygnet-hub-master1', child: 'edge1--remote' },
        { connection: 'cygnet-hub-hub2', child: 'edge1--remote' },
      ]);
    }
    const served = stateOf(states, 'hub2').connections.flatMap((connection) =>
      childrenOf(connection).map((child) => `${connection.name}/${child.name}`),
    );
    expect(served).toEqual(
      expect.arrayContaining(['cygnet-spoke-edge1/edge1--remote', 'cygnet-spoke-remote/edge1--remote']),
    );
    const toHub2 = childrenOf(connectionOf(stateOf(states, 'edge1'), 'cygnet-hub-hub2'));
    expect(
      toHub2.map(({ name }) => name),
      'no link of edge1 with master1 passes hub2',
    ).toEqual(['edge1--remote']);
  });

  it('mediates at every mediator, with a connection for each, and prefers them in the order of the spec', () => {
    const mediator2 = '  med2: { roles: [mediator], endpoint: 203.0.113.13, subnets: [] }';
    const state = stateOf(compiled(SEED_SPEC.replace('links:\n', `${mediator2}\nlinks:\n`)), 'edge1');
    expect(state.links.find(({ id }) => id === 'edge1--remote')?.direct).toEqual([
      { connection: 'cygnet-peer-remote', child: 'edge1--remote' },
      { connection: 'cygnet-peer-remote--med2', child: 'edge1--remote' },
    ]);
    expect(connectionOf(state, 'cygnet-peer-remote--med2')).toMatchObject({ mediatedBy: 'cygnet-medsrv-med2' });
    expect(connectionOf(state, 'cygnet-medsrv-med2')).toMatchObject({ kind: 'mediation-client', mediator: 'med2' });
  });
});

interface Shape {
  readonly nodes: number;
  readonly links: readonly (readonly [number, number])[];
}

const shape: fc.Arbitrary<Shape> = fc.integer({ min: 2, max: 7 }).chain((nodes) =>
  fc.record({
    nodes: fc.constant(nodes),
    links: fc.uniqueArray(fc.tuple(fc.nat(nodes - 1), fc.nat(nodes - 1)), {
      selector: (pair) => pair.toSorted((a, b) => a - b).join(),
      maxLength: 12,
    }),
  }),
);

/** Node 0 is mediator and hub. */
function meshText({ nodes, links }: Shape): string {
  const nodeOf = (index: number): string =>
    `  n${index}: { ${index === 0 ? 'roles: [mediator, hub], endpoint: 192.0.2.1, ' : ''}subnets: [10.${index}.0.0/16] }`;
  const pairs = links.filter(([a, b]) => a !== b).map(([a, b]) => `  - [n${a}, n${b}]`);
  return [
    'nodes:',
    ...Array.from({ length: nodes }, (_, index) => nodeOf(index)),
    pairs.length === 0 ? 'links: []' : 'links:',
    ...pairs,
  ].join('\n');
}

it('has as few selectors as the subnets of a node need, in whatever order they are written', () => {
  const states = compiled(SEED_SPEC.replace('[7.7.8.0/24]', '[7.7.9.0/24, 10.8.0.0/16, 7.7.8.0/24, 10.8.3.0/24]'));
  const ofLink = (node: string, connection: string) =>
    childrenOf(connectionOf(stateOf(states, node), connection)).find(({ link }) => link === 'edge1--remote');
  const merged = ['7.7.8.0/23', '10.8.0.0/16'];
  expect(ofLink('edge1', 'cygnet-peer-remote')?.remoteSubnets).toEqual(merged);
  expect(ofLink('remote', 'cygnet-hub-master1')?.localSubnets).toEqual(merged);
});

describe('any mesh', () => {
  it('compiles to states that every agent accepts', () => {
    fc.assert(
      fc.property(shape, (mesh) => {
        for (const state of compiled(meshText(mesh)).values()) expect(desiredStateSchema.parse(state)).toEqual(state);
      }),
    );
  });

  it('both ends of a tunnel have the same children with mirrored selectors', () => {
    fc.assert(
      fc.property(shape, (mesh) => {
        const states = compiled(meshText(mesh));
        for (const state of states.values()) {
          for (const connection of state.connections) {
            if (connection.kind !== 'spoke' && connection.kind !== 'mediated-peer') continue;
            const other = connection.kind === 'spoke' ? `cygnet-spoke-${state.node}` : `cygnet-peer-${state.node}`;
            const mirror = childrenOf(connectionOf(stateOf(states, connection.peer), other));
            expect(mirror.map(({ name, localSubnets, remoteSubnets }) => [name, remoteSubnets, localSubnets])).toEqual(
              connection.children.map(({ name, localSubnets, remoteSubnets }) => [name, localSubnets, remoteSubnets]),
            );
          }
        }
      }),
    );
  });

  it('a new node changes only its neighbour and the hub, and there only adds', () => {
    fc.assert(
      fc.property(shape, fc.nat(6), (mesh, pick) => {
        const neighbour = pick % mesh.nodes;
        const grown = { nodes: mesh.nodes + 1, links: [...mesh.links, [mesh.nodes, neighbour] as const] };
        const [before, after] = [compiled(meshText(mesh)), compiled(meshText(grown))];
        for (const [node, state] of before) {
          const next = stateOf(after, node);
          if (node === 'n0' || node === `n${neighbour}`) expectOnlyAdded(state, next);
          else expect(JSON.stringify(next)).toBe(JSON.stringify(state));
        }
        expect(connectionOf(stateOf(after, 'n0'), 'cygnet-mediation')).toEqual(
          connectionOf(stateOf(before, 'n0'), 'cygnet-mediation'),
        );
      }),
    );
  });
});

/** Every connection, child and link of `before` is in `after` as it was. */
function expectOnlyAdded(before: DesiredState, after: DesiredState): void {
  for (const connection of before.connections) {
    const next = connectionOf(after, connection.name);
    expect({ ...next, children: [] }).toEqual({ ...connection, children: [] });
    expect(childrenOf(next)).toEqual(expect.arrayContaining([...childrenOf(connection)]));
  }
  expect(after.links).toEqual(expect.arrayContaining([...before.links]));
}
