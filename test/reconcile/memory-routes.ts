import type { PathRoutes } from '../../src/agent/path-routes.ts';
import type { ObservedRoute, Route } from '../../src/reconcile/charon.ts';
import { routeKey } from '../../src/reconcile/routes.ts';

/** A node's routes without a kernel. */
export class MemoryRoutes implements Pick<PathRoutes, 'observe' | 'set' | 'remove'> {
  readonly routes = new Map<string, ObservedRoute>();
  /** Called with each change; a route that is gone leads nowhere. */
  onChange: (route: ObservedRoute) => void = () => undefined;

  observe(): Promise<ReadonlyMap<string, ObservedRoute>> {
    return Promise.resolve(new Map(this.routes));
  }

  set(routes: readonly Route[]): Promise<undefined> {
    for (const route of routes) {
      this.routes.set(routeKey(route), route);
      this.onChange(route);
    }
    return Promise.resolve(undefined);
  }

  remove(routes: readonly ObservedRoute[]): Promise<undefined> {
    for (const route of routes) {
      this.routes.delete(routeKey(route));
      this.onChange({ ...route, path: undefined });
    }
    return Promise.resolve(undefined);
  }
}
