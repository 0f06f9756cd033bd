import { z } from 'zod';
import { digestOf } from '../json.ts';

/** As much of a stored state as a comparison needs: an earlier version may have written it. */
export const storedStateSchema = z.object({
  connections: z.array(z.looseObject({ name: z.string() })),
  links: z.array(z.looseObject({ id: z.string() })),
});
export type StoredState = Readonly<z.output<typeof storedStateSchema>>;

/** What becomes of one node's connections, by their names. */
export interface StateChange {
  readonly added: string[];
  readonly changed: string[];
  readonly removed: string[];
}

/** From one state to the next; `before` is undefined when there was none. */
export function changesBetween(before: StoredState | undefined, after: StoredState): StateChange {
  const old = digestsByName(before?.connections ?? []);
  const now = digestsByName(after.connections);
  return {
    added: [...now.keys()].filter((name) => !old.has(name)),
    changed: [...now].filter(([name, digest]) => old.has(name) && old.get(name) !== digest).map(([name]) => name),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  };
}

function digestsByName(connections: readonly { readonly name: string }[]): ReadonlyMap<string, string> {
  return new Map(connections.map((connection) => [connection.name, digestOf(connection)]));
}
