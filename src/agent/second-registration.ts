import type { ConnectionName, ConnectionOf } from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { tunnelIdentity } from '../identity/names.ts';

/**
 * A node's name has no dot, so the coordinator names nothing like this. A link that has such a connection has it as the last
 * of its ways.
 */
const AGAIN = '.again';

/**
 * charon waits for ever for a mediation whose outcome was lost, and begins none with that peer again. It tells mediations
 * apart by the identities of both ends at the mediator (connect_manager.c, `get_initiated_by_ids`). So for peers that it
 * is held up with, this node registers at the mediator a second time, under its other identity, and has the tunnel
 * set up through that registration. The tunnel itself is the same: the peer notices nothing.
 *
 * @param held names of the mediated connections that charon begins nothing for
 */
export function withSecondRegistrations(desired: DesiredState, held: ReadonlySet<string>): DesiredState {
  const peers = desired.connections.filter(
    (connection): connection is ConnectionOf<'mediated-peer'> =>
      connection.kind === 'mediated-peer' && held.has(connection.name),
  );
  if (peers.length === 0) return desired;
  const used = new Set<string>(peers.map(({ mediatedBy }) => mediatedBy));
  const clients = desired.connections.filter(
    (connection): connection is ConnectionOf<'mediation-client'> =>
      connection.kind === 'mediation-client' && used.has(connection.name),
  );
  const localId = tunnelIdentity(desired.mesh, desired.node);
  return {
    ...desired,
    connections: [
      ...desired.connections,
      ...clients.map((client) => ({ ...client, name: againOf(client.name), localId })),
      ...peers.map((peer) => ({ ...peer, name: againOf(peer.name), mediatedBy: againOf(peer.mediatedBy) })),
    ],
    links: desired.links.map((link) => {
      const more = link.direct.filter(({ connection }) => held.has(connection));
      if (more.length === 0) return link;
      const again = more.map(({ connection, child }) => ({ connection: againOf(connection), child }));
      return { ...link, direct: [...link.direct, ...again] };
    }),
  };
}

/** What charon is held up with, by what it has loaded: it forgets both when it ends, and an agent may end before it. */
export function heldBy(loaded: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...loaded].filter((name) => name.endsWith(AGAIN)).map((name) => name.slice(0, -AGAIN.length)));
}

function againOf(name: ConnectionName): ConnectionName {
  return `${name}${AGAIN}` as ConnectionName;
}
