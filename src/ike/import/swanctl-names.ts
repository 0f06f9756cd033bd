import type { ImportedConfig, ImportedConnection } from './imported.ts';

/** What swanctl.conf's grammar has no room for in the name of a section. */
const NOT_IN_NAMES = /[#{}:.,="\s]+/g;

/** The same configuration with names that swanctl.conf can hold; a reference to a name goes with it. */
export function withSwanctlNames(config: ImportedConfig): ImportedConfig {
  const names = namesFor(config.connections.map(({ name }) => name));
  const pools = namesFor(config.pools.map(({ name }) => name));
  const authorities = namesFor(config.authorities.map(({ name }) => name));
  return {
    ...config,
    connections: config.connections.map((connection) => renamed(connection, names, pools)),
    pools: config.pools.map((pool) => ({ ...pool, name: pools.get(pool.name) ?? pool.name })),
    authorities: config.authorities.map((authority) => ({
      ...authority,
      name: authorities.get(authority.name) ?? authority.name,
    })),
  };
}

function renamed(
  connection: ImportedConnection,
  names: ReadonlyMap<string, string>,
  pools: ReadonlyMap<string, string>,
): ImportedConnection {
  const { name, mediation, children, ike } = connection;
  const childNames = namesFor(children.map((child) => child.name));
  return {
    ...connection,
    name: names.get(name) ?? name,
    mediation:
      mediation.kind === 'mediated' ? { ...mediation, by: names.get(mediation.by) ?? mediation.by } : mediation,
    children: children.map((child) => ({ ...child, name: childNames.get(child.name) ?? child.name })),
    ike: { ...ike, pools: ike.pools?.map((pool) => pools.get(pool) ?? pool) },
  };
}

/** A possible name for each, all different. Those that are possible already stay. */
function namesFor(names: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(names.filter((name) => !name.match(NOT_IN_NAMES)));
  return new Map(
    names.map((name) => {
      if (taken.has(name)) return [name, name];
      const plain = name.replaceAll(NOT_IN_NAMES, '_');
      let free = plain;
      for (let number = 2; taken.has(free); number += 1) free = `${plain}_${number}`;
      taken.add(free);
      return [name, free];
    }),
  );
}
