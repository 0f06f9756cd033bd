import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import type { PathKind } from '../ike/steering.ts';
import { StepRefused, type ObservedRoute, type Route } from '../reconcile/charon.ts';
import { routeKey } from '../reconcile/routes.ts';
import { ip, ipBatch } from './ip-command.ts';
import { localAddresses } from './local-addresses.ts';
import { INTERFACES, PATH_KINDS, PROTOCOL, TABLES } from './path-interfaces.ts';

/** Nobody else touches our tables; but a route goes with an address or an interface that is taken away. */
const LOOK_EVERY_MS = 10_000;

const routesSchema = z.array(z.object({ dst: z.string(), dev: z.string().exactOptional() }));

export interface PathRoutesDeps {
  readonly monotonicMs: () => number;
  /** Whether there are interfaces to route into. */
  readonly hasInterfaces: () => boolean;
  /** The node's own mesh address. */
  readonly own: () => string | undefined;
  /** A route could not be set: an interface may be missing. */
  readonly onRefused: () => void;
}

/** The node's routes into its XFRM interfaces, in tables of their own. They stay when the agent ends, as the tunnels do. */
export class PathRoutes {
  readonly #deps: PathRoutesDeps;
  #known: ReadonlyMap<string, ObservedRoute> | undefined;
  #lookedAtMs = 0;

  constructor(deps: PathRoutesDeps) {
    this.#deps = deps;
  }

  /** Those that are there, by `routeKey`. When they cannot be looked at, none: then they are set again, which harms nothing. */
  async observe(): Promise<ReadonlyMap<string, ObservedRoute>> {
    if (!this.#deps.hasInterfaces()) {
      // They have gone with the interfaces.
      this.#known = undefined;
      return new Map();
    }
    const nowMs = this.#deps.monotonicMs();
    if (this.#known === undefined || nowMs - this.#lookedAtMs >= LOOK_EVERY_MS) {
      this.#lookedAtMs = nowMs;
      this.#known = await look().catch(() => undefined);
    }
    return this.#known ?? new Map();
  }

  /** One of them may be gone: they are looked at with the next call of `observe`. */
  suspect(): void {
    this.#lookedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Each takes the place of another one with its destination. Rejects with a {@link StepRefused}. */
  set(routes: readonly Route[], localSubnets: readonly string[]): Promise<undefined> {
    const source = ownAddressIn(localSubnets) ?? this.#deps.own();
    const src = source === undefined ? '' : ` src ${source}`;
    return this.#change(
      routes.map(
        ({ destination, path, table }) =>
          `route replace ${destination} dev ${INTERFACES[path]} table ${TABLES[table]} protocol ${PROTOCOL}${src}`,
      ),
      (known) => {
        for (const route of routes) known.set(routeKey(route), route);
      },
    );
  }

  /** Rejects with a {@link StepRefused}. */
  remove(routes: readonly ObservedRoute[]): Promise<undefined> {
    return this.#change(
      routes.map(({ destination, table }) => `route del ${destination} table ${TABLES[table]}`),
      (known) => {
        for (const route of routes) known.delete(routeKey(route));
      },
    );
  }

  async #change(commands: readonly string[], note: (known: Map<string, ObservedRoute>) => void): Promise<undefined> {
    const known = new Map(this.#known);
    // Whatever comes of it, they are not as they were.
    this.#known = undefined;
    try {
      await ipBatch(commands);
    } catch (cause) {
      this.#deps.onRefused();
      throw new StepRefused(`routes not changed: ${messageOf(cause).slice(0, 900)}`, { cause });
    }
    note(known);
    this.#known = known;
  }
}

async function look(): Promise<ReadonlyMap<string, ObservedRoute>> {
  const ofTables = await Promise.all((['traffic', 'probes'] as const).map(routesIn));
  return new Map(ofTables.flat().map((route) => [routeKey(route), route]));
}

async function routesIn(table: Route['table']): Promise<readonly ObservedRoute[]> {
  const text = await ip(['-json', '-4', 'route', 'show', 'table', String(TABLES[table])]).catch((error: unknown) => {
    // Of a table that nothing was ever in.
    if (messageOf(error).includes('FIB table does not exist')) return '';
    throw error;
  });
  return routesSchema.parse(JSON.parse(text.trim() || '[]')).map(({ dst, dev }) => ({
    table,
    destination: cidrOf(dst),
    path: pathOf(dev),
  }));
}

function pathOf(device: string | undefined): PathKind | undefined {
  return PATH_KINDS.find((kind) => INTERFACES[kind] === device);
}

/** `ip` leaves out the length of an address, and calls the widest net by a name. */
function cidrOf(destination: string): string {
  if (destination === 'default') return '0.0.0.0/0';
  return destination.includes('/') ? destination : `${destination}/32`;
}

/** An address of this machine by which it is reached in its subnets; undefined where it has none, as on a router between them. */
function ownAddressIn(subnets: readonly string[]): string | undefined {
  const nets = subnets.map((subnet) => ipaddr.IPv4.parseCIDR(subnet));
  const own = [...localAddresses()].filter((address) => ipaddr.IPv4.isValidFourPartDecimal(address));
  return own.find((address) => nets.some((net) => ipaddr.IPv4.parse(address).match(net)));
}
