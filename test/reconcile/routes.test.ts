import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { connectionNameSchema, linkIdSchema } from '../../src/ike/connection.ts';
import type { RouteSteering } from '../../src/ike/steering.ts';
import type { ObservedRoute, Route, Step } from '../../src/reconcile/charon.ts';
import { divertRoutes, isRoutedDirect, routeKey, routeSteps } from '../../src/reconcile/routes.ts';
import { MemoryRoutes } from './memory-routes.ts';

function steering(peer: string, ...subnets: readonly string[]): RouteSteering {
  return {
    kind: 'steering',
    name: connectionNameSchema.parse(`cygnet-via-${peer}`),
    link: linkIdSchema.parse(`edge1--${peer}`),
    lasting: [],
    destinations: [...subnets, '100.96.0.6/32'],
    probed: { direct: '100.96.0.6/32', relay: '100.96.0.7/32' },
    localSubnets: ['7.7.7.0/24'],
  };
}

const link = steering('remote', '7.7.8.0/24');
const [SUBNET, MESH, PROBED] = ['traffic 7.7.8.0/24', 'traffic 100.96.0.6/32', 'probes 100.96.0.6/32'];

/** Routes that are brought about by the steps for them. */
class Routes extends MemoryRoutes {
  get observed(): { readonly routes: ReadonlyMap<string, ObservedRoute> } {
    return { routes: this.routes };
  }

  get paths(): Record<string, string | undefined> {
    return Object.fromEntries([...this.routes].map(([key, { path }]) => [key, path]));
  }

  /** Carries out what a round would, and tells which steps that took. */
  round(wanted: readonly RouteSteering[], ...direct: readonly RouteSteering[]): string[] {
    const input = { steering: wanted, takesDirect: new Set(direct.map((each) => each.link)), observed: this.observed };
    const steps = [...divertRoutes(input), ...routeSteps(input)];
    for (const step of steps) this.#carryOut(step);
    return steps.map(({ kind }) => kind);
  }

  #carryOut(step: Step): void {
    if (step.kind === 'set-routes' || step.kind === 'divert-routes') void this.set(step.routes);
    if (step.kind === 'remove-routes') void this.remove(step.routes);
  }
}

describe('the routes of a link', () => {
  it('lead into the relay, and the probes of the direct tunnel into that', () => {
    const routes = new Routes();
    expect(routes.round([link])).toEqual(['set-routes']);
    expect(routes.paths).toEqual({
      [SUBNET]: 'relay',
      [MESH]: 'relay',
      'traffic 100.96.0.7/32': 'relay',
      [PROBED]: 'direct',
    });
    expect(routes.round([link])).toEqual([]);
  });

  it('are moved to the direct tunnel and back by one step each, but for those of the probes', () => {
    const routes = new Routes();
    routes.round([link]);
    expect(routes.round([link], link)).toEqual(['set-routes']);
    expect(routes.paths).toEqual({
      [SUBNET]: 'direct',
      [MESH]: 'direct',
      'traffic 100.96.0.7/32': 'relay',
      [PROBED]: 'direct',
    });
    expect(isRoutedDirect(link, routes.observed)).toBe(true);
    expect(routes.round([link])).toEqual(['divert-routes']);
    expect(routes.paths).toMatchObject({ [SUBNET]: 'relay', [MESH]: 'relay' });
    expect(isRoutedDirect(link, routes.observed)).toBe(false);
  });

  it('are not those of the direct tunnel while one of them is not', () => {
    const routes = new Routes();
    routes.round([link], link);
    void routes.set([{ table: 'traffic', destination: '100.96.0.6/32', path: 'relay' }]);
    expect(isRoutedDirect(link, routes.observed)).toBe(false);
  });

  it('go with the link, and so does what is in our tables and is nobody’s', () => {
    const routes = new Routes();
    const other: RouteSteering = {
      ...steering('other', '7.7.9.0/24'),
      destinations: ['7.7.9.0/24', '100.96.0.8/32'],
      probed: { direct: '100.96.0.8/32', relay: '100.96.0.9/32' },
    };
    routes.round([link, other], link);
    routes.routes.set('traffic 192.0.2.0/24', { table: 'traffic', destination: '192.0.2.0/24', path: undefined });
    expect(routes.round([other])).toEqual(['remove-routes']);
    expect(Object.keys(routes.paths).sort()).toEqual([
      'probes 100.96.0.8/32',
      'traffic 100.96.0.8/32',
      'traffic 100.96.0.9/32',
      'traffic 7.7.9.0/24',
    ]);
  });

  it('come right from whatever is left of them, in one round', () => {
    const route = fc.record<Route>({
      table: fc.constantFrom('traffic', 'probes'),
      destination: fc.constantFrom('7.7.8.0/24', '100.96.0.6/32', '100.96.0.7/32', '192.0.2.0/24'),
      path: fc.constantFrom('direct', 'relay'),
    });
    fc.assert(
      fc.property(fc.array(route), fc.boolean(), (left, takesDirect) => {
        const routes = new Routes();
        for (const each of left) routes.routes.set(routeKey(each), each);
        const direct = takesDirect ? [link] : [];
        routes.round([link], ...direct);
        expect(routes.paths).toEqual({
          [SUBNET]: takesDirect ? 'direct' : 'relay',
          [MESH]: takesDirect ? 'direct' : 'relay',
          'traffic 100.96.0.7/32': 'relay',
          [PROBED]: 'direct',
        });
        expect(routes.round([link], ...direct)).toEqual([]);
      }),
    );
  });
});
