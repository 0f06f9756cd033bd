import { z } from 'zod';
import type { DesiredState } from '../ike/desired-state.ts';
import { digestOf } from '../json.ts';
import type { NodeChange } from './api.ts';

const storedStateSchema = z.object({ connections: z.array(z.looseObject({ name: z.string() })) });

/** What an apply does to one node, in names of connections. `before` is its stored state, undefined when it had none. */
export function changeOf(before: unknown, after: DesiredState): NodeChange {
  const old = digestsByName(before === undefined ? [] : storedStateSchema.parse(before).connections);
  const now = digestsByName(after.connections);
  return {
    node: after.node,
    added: [...now.keys()].filter((name) => !old.has(name)),
    changed: [...now].filter(([name, digest]) => old.has(name) && old.get(name) !== digest).map(([name]) => name),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  };
}

function digestsByName(connections: readonly { readonly name: string }[]): ReadonlyMap<string, string> {
  return new Map(connections.map((connection) => [connection.name, digestOf(connection)]));
}
