import type { PathKind, RouteSteering, Steering } from '../ike/steering.ts';
import type { ObservedState, Route, Step } from './charon.ts';

export interface RouteInput {
  /** The links whose traffic this node moves by itself. */
  readonly steering: readonly Steering[];
  /** Links whose traffic belongs in their direct tunnel now. */
  readonly takesDirect: ReadonlySet<string>;
  readonly observed: Pick<ObservedState, 'routes'>;
}

/** What {@link RouteInput.observed} calls a route: two of one table and destination are the same one. */
export function routeKey({ table, destination }: Pick<Route, 'table' | 'destination'>): string {
  return `${table} ${destination}`;
}

/** Whether all of a link's traffic goes into its direct tunnel. */
export function isRoutedDirect({ destinations }: RouteSteering, { routes }: RouteInput['observed']): boolean {
  return trafficTo(destinations, 'direct').every((route) => isThere(route, routes));
}

/** Traffic leaves a direct tunnel, and the routes of links that are no more go. To be done before any tunnel is ended. */
export function divertRoutes(input: RouteInput): Step[] {
  const { steering, takesDirect, observed } = input;
  const links = steering.filter(isByRoutes);
  const diverts = links
    .filter((each) => isLeaving(each, input))
    .flatMap((each) => correct('divert-routes', each, input));
  const wanted = new Set(links.flatMap((each) => routesOf(each, takesDirect)).map(routeKey));
  const surplus = [...observed.routes.values()].filter((route) => !wanted.has(routeKey(route)));
  return surplus.length === 0 ? diverts : [...diverts, { kind: 'remove-routes', routes: surplus }];
}

/** The routes that are missing, or that lead elsewhere: all of a link at once. They stay without tunnels, and drop then. */
export function routeSteps(input: RouteInput): Step[] {
  const links = input.steering.filter(isByRoutes).filter((each) => !isLeaving(each, input));
  return links.flatMap((each) => correct('set-routes', each, input));
}

function isByRoutes(steering: Steering): steering is RouteSteering {
  return 'destinations' in steering;
}

/** Some of its traffic goes into a direct tunnel and is not to. */
function isLeaving({ destinations, link }: RouteSteering, { takesDirect, observed }: RouteInput): boolean {
  return !takesDirect.has(link) && trafficTo(destinations, 'direct').some((route) => isThere(route, observed.routes));
}

function correct(kind: 'set-routes' | 'divert-routes', steering: RouteSteering, input: RouteInput): Step[] {
  const { name: connection, localSubnets } = steering;
  const routes = routesOf(steering, input.takesDirect).filter((route) => !isThere(route, input.observed.routes));
  return routes.length === 0 ? [] : [{ kind, connection, routes, localSubnets }];
}

function isThere(route: Route, routes: RouteInput['observed']['routes']): boolean {
  return routes.get(routeKey(route))?.path === route.path;
}

function routesOf({ destinations, probed, link }: RouteSteering, takesDirect: ReadonlySet<string>): readonly Route[] {
  return [
    ...trafficTo(destinations, takesDirect.has(link) ? 'direct' : 'relay'),
    { table: 'traffic', destination: probed.relay, path: 'relay' },
    { table: 'probes', destination: probed.direct, path: 'direct' },
  ];
}

function trafficTo(destinations: readonly string[], path: PathKind): readonly Route[] {
  return destinations.map((destination) => ({ table: 'traffic', destination, path }));
}
