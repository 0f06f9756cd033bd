import { expect } from 'vitest';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { Connection, NodeName } from '../../src/ike/connection.ts';
import { compileMesh, type MeshAddresses } from '../../src/coordinator/compile-mesh.ts';
import type { MeshSpec } from '../../src/coordinator/mesh-spec.ts';
import { parseMeshSpec } from '../../src/coordinator/parse-mesh-spec.ts';
import { formatMistake } from '../../src/yaml-document.ts';

/** One mediator that is the hub too, and two nodes behind NAT: every pair linked. */
export const SEED_SPEC = `nodes:
  master1: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [10.233.97.0/24] }
  edge1:   { subnets: [7.7.7.0/24] }
  remote:  { subnets: [7.7.8.0/24], virtualIps: [1.1.1.236] }
links:
  - [edge1, remote]
  - [edge1, master1]
  - [remote, master1]
`;

export const SEED_IDENTITY = { mesh: 'seed', subject: 'C=CN, O=Local Cluster' } as const;

/** A spec that must be right. */
export function specOf(text: string): MeshSpec {
  const parsed = parseMeshSpec(text);
  if (!parsed.ok) expect.fail(parsed.mistakes.map(formatMistake).join('\n'));
  return parsed.spec;
}

export function mistakesIn(text: string): string[] {
  const parsed = parseMeshSpec(text);
  return parsed.ok ? [] : parsed.mistakes.map(formatMistake);
}

/** Without mesh addresses unless some are given. */
export function compiled(text: string, addresses: MeshAddresses = new Map()): ReadonlyMap<NodeName, DesiredState> {
  return compileMesh(specOf(text), SEED_IDENTITY, addresses);
}

export function stateOf(states: ReadonlyMap<NodeName, DesiredState>, node: string): DesiredState {
  return states.get(node as NodeName) ?? expect.fail(`no state for ${node}`);
}

export function connectionOf(state: DesiredState, name: string): Connection {
  return state.connections.find((connection) => connection.name === name) ?? expect.fail(`no connection ${name}`);
}
