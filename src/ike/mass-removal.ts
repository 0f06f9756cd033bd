/** Fewer than this are never a mass removal: a node with a single hub and a mediator has hardly more. */
const REMOVED_MIN = 3;

/** What a change leaves of a node is looked at by these names only. */
export type Removable = {
  readonly connections: readonly { readonly name: string }[];
  readonly links: readonly { readonly id: string }[];
};

/**
 * "3 of its 4 connections" when a change takes away three or more of them, and more than half; likewise of its links.
 * Undefined otherwise. A mesh spec that was cut off, or an empty one, must not end every tunnel.
 */
export function massRemovalOf(before: Removable, after: Removable): string | undefined {
  const names = (state: Removable): string[] => state.connections.map(({ name }) => name);
  const links = (state: Removable): string[] => state.links.map(({ id }) => id);
  return lossOf('connections', names(before), names(after)) ?? lossOf('links', links(before), links(after));
}

function lossOf(what: string, before: readonly string[], after: readonly string[]): string | undefined {
  const kept = new Set(after);
  const removed = before.filter((name) => !kept.has(name)).length;
  return removed >= REMOVED_MIN && removed * 2 > before.length
    ? `${removed} of its ${before.length} ${what}`
    : undefined;
}
