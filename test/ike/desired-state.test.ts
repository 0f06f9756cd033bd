import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childNameSchema, connectionNameSchema, identitySchema, nodeNameSchema } from '../../src/ike/connection.ts';
import { desiredStateSchema, type DesiredState } from '../../src/ike/desired-state.ts';
import { child, desired, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';
import { everyKind, hub } from './connections.ts';

const messagesOf = (state: unknown): string[] =>
  desiredStateSchema.safeParse(state).error?.issues.map(({ message }) => message) ?? [];

/** Every object inside the value, itself included. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.values(value).flatMap(objectsIn);
  return Array.isArray(value) ? inner : [value as Record<string, unknown>, ...inner];
}

describe('a desired state', () => {
  it('with every kind of connection is accepted as it is', () => {
    expect(desiredStateSchema.parse(structuredClone(everyKind()))).toEqual(everyKind());
  });

  it('says nothing that it has no field for, wherever that is put', () => {
    const hostile = fc.constantFrom('updown', 'file', 'handle', 'module', 'uri', 'pkcs11', 'start_action', 'remote');
    const key = fc.oneof(hostile, fc.string({ minLength: 1, maxLength: 12 }));
    fc.assert(
      fc.property(key, fc.nat(), fc.constantFrom('/bin/sh', null, 1, []), (name, place, value) => {
        const state = structuredClone(everyKind());
        const objects = objectsIn(state);
        const target = objects[place % objects.length]!;
        fc.pre(name !== '__proto__' && !Object.hasOwn(target, name) && !['direct', 'relay'].includes(name));
        target[name] = value;
        expect(desiredStateSchema.safeParse(state).success).toBe(false);
      }),
    );
  });

  it('needs every field', () => {
    const required = objectsIn(everyKind()).flatMap((_object, index) =>
      Object.keys(objectsIn(everyKind())[index] ?? {})
        .filter((key) => key !== 'direct' && key !== 'relay')
        .map((key) => [index, key] as const),
    );
    for (const [index, key] of required) {
      const state = structuredClone(everyKind());
      delete objectsIn(state)[index]![key];
      expect(desiredStateSchema.safeParse(state).success, `without ${key}`).toBe(false);
    }
  });

  it('names no connection, child or link twice', () => {
    expect(messagesOf(desired(medsrv(), medsrv()))).toEqual([`duplicate name: ${names.medsrv}`]);
    expect(messagesOf(desired(spoke([child('edge1--remote'), child('edge1--remote')])))).toEqual([
      `duplicate name: ${names.hub}/edge1--remote`,
    ]);
    const state = desired(spoke());
    expect(messagesOf({ ...state, links: [...state.links, ...state.links] })).toEqual([
      'duplicate link: edge1--remote',
    ]);
  });

  it('refers only to what it holds', () => {
    expect(messagesOf(desired(mediatedPeer()))).toEqual([
      `${names.peer}: unknown mediation connection ${names.medsrv}`,
    ]);
    const state = desired(medsrv(), mediatedPeer());
    const [link] = state.links;
    const direct = { connection: names.peer, child: childNameSchema.parse('other') };
    for (const refs of [{ direct: [...link!.direct, direct] }, { relay: [direct] }]) {
      expect(messagesOf({ ...state, links: [{ ...link, ...refs }] })).toEqual([
        `edge1--remote: unknown child ${names.peer}/other`,
      ]);
    }
  });

  it('is not mediated by a connection that does not register at a mediator', () => {
    const peer = mediatedPeer({ mediatedBy: hub().name });
    expect(messagesOf(desired(hub(), peer))).toEqual([`${names.peer}: unknown mediation connection ${hub().name}`]);
  });

  it('gives subnets one spelling', () => {
    const state = desired(spoke([child('edge1--remote', { remoteSubnets: ['2001:DB8:0::/48'] })]));
    expect(desiredStateSchema.parse(state).connections[0]).toMatchObject({
      children: [{ remoteSubnets: ['2001:db8::/48'] }],
    });
  });

  it.each<[string, (state: DesiredState) => unknown]>([
    ['another version', (state) => ({ ...state, version: 2 })],
    ['a connection of an unknown kind', (state) => ({ ...state, connections: [{ ...hub(), kind: 'xauth' }] })],
    ['too many links', (state) => ({ ...state, links: Array.from({ length: 4097 }, () => state.links[0]) })],
    ['nothing', () => null],
  ])('with %s is refused', (_what, change) =>
    expect(desiredStateSchema.safeParse(change(desired(spoke()))).success).toBe(false),
  );

  it('is refused, not choked on, when it is something else', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(desiredStateSchema.safeParse(value).success).toBe(false);
      }),
    ));
});

describe('names', () => {
  it.each(['medsrv', 'cygnet', 'Cygnet-a', 'cygnet-a b', 'cygnet-a/b', 'cygnet-\n', `cygnet-${'a'.repeat(200)}`])(
    '%j is not a connection of ours',
    (name) => expect(connectionNameSchema.safeParse(name).success).toBe(false),
  );

  it.each(['', 'a b', 'a}', 'updown="x"', '../x'])('%j is not a child', (name) =>
    expect(childNameSchema.safeParse(name).success).toBe(false),
  );

  it.each(['edge--1', '-edge', 'edge-', 'Edge', 'a'.repeat(64), ''])('%j is not a node', (name) =>
    expect(nodeNameSchema.safeParse(name).success).toBe(false),
  );

  it.each(['a', 'edge1', 'a-b-c', 'a'.repeat(63)])('%j is a node', (name) =>
    expect(nodeNameSchema.safeParse(name).success).toBe(true),
  );

  it.each(['O=mesh, CN="x"', 'a{b}', 'a\nb', 'a\\b', ''])('%j is not an identity', (text) =>
    expect(identitySchema.safeParse(text).success).toBe(false),
  );
});
