import { STEERING_PREFIX } from '../ike/connection.ts';
import type { Steering, TrapPolicy, TrapSteering } from '../ike/steering.ts';
import { sameSelectors } from '../ike/traffic-selector.ts';
import type { ObservedTrap, Step } from './charon.ts';

export interface TrapInput {
  /** The links whose traffic this node moves by itself. */
  readonly steering: readonly Steering[];
  /** Links whose traffic belongs in their direct tunnel now. */
  readonly takesDirect: ReadonlySet<string>;
  readonly observed: { readonly traps: ReadonlyMap<string, ObservedTrap> };
}

/** What {@link TrapInput.observed} calls a trap. */
export function trapKey(connection: string, trap: string): string {
  return `${connection}/${trap}`;
}

/** Whether a link's traffic goes into its direct tunnel. */
export function isTrappedDirect({ name, direct }: TrapSteering, { traps }: TrapInput['observed']): boolean {
  return traps.has(trapKey(name, direct.name));
}

/** Traffic leaves a direct tunnel, and the traps of links that are no more go. To be done before any tunnel is ended. */
export function divertSteps({ steering, takesDirect, observed }: TrapInput): Step[] {
  const wanted = new Set(
    steering.flatMap((each) => trapsOf(each, takesDirect).map(({ name }) => trapKey(each.name, name))),
  );
  return [...observed.traps.values()]
    .filter(({ connection, name }) => connection.startsWith(STEERING_PREFIX) && !wanted.has(trapKey(connection, name)))
    .map(({ connection, name }) => ({ kind: 'uninstall-trap', connection, trap: name }));
}

export interface TrapConditions {
  /** Whether charon has the connection as it should be. */
  readonly isLoaded: (steering: Steering) => boolean;
  /** False while a step is not to be tried. */
  readonly isAllowed: (step: Step) => boolean;
}

/**
 * The traps that are missing, or that have other selectors. A link's steps belong together: while charon refuses one of the
 * traps, those that it has stay, or they would be taken away for its sake in each round.
 */
export function trapSteps(input: TrapInput, { isLoaded, isAllowed }: TrapConditions): Step[] {
  const ofLinks = input.steering.filter(isLoaded).map((each) => trapStepsOf(each, input));
  return ofLinks.filter((steps) => steps.every(isAllowed)).flat();
}

/**
 * From the first one on that is not right: their order counts. One that is there already is taken away first where an older
 * one is missing; with other selectors it is replaced in its place, but for what drops, which charon would leave as it is
 * (shunt_manager.c).
 */
function trapStepsOf(steering: Steering, { takesDirect, observed }: TrapInput): Step[] {
  const traps = trapsOf(steering, takesDirect);
  const observedOf = ({ name }: TrapPolicy): ObservedTrap | undefined =>
    observed.traps.get(trapKey(steering.name, name));
  const first = traps.findIndex((trap) => !isRight(trap, observedOf(trap)));
  if (first === -1) return [];
  const late = traps.slice(first);
  const missing = late.findIndex((trap) => observedOf(trap) === undefined);
  const isInTheWay = ({ reqid }: TrapPolicy, at: number): boolean =>
    reqid === undefined || (missing !== -1 && at >= missing);
  const misplaced = late.filter((trap, at) => observedOf(trap) !== undefined && isInTheWay(trap, at));
  const { name: connection } = steering;
  return [
    ...misplaced.map(({ name }): Step => ({ kind: 'uninstall-trap', connection, trap: name })),
    ...late.map(({ name }): Step => ({ kind: 'install-trap', connection, trap: name })),
  ];
}

/** In the order of their installation. */
function trapsOf(steering: Steering, takesDirect: ReadonlySet<string>): readonly TrapPolicy[] {
  const { lasting, link } = steering;
  return 'direct' in steering && takesDirect.has(link) ? [...lasting, steering.direct] : lasting;
}

/** By their networks: whether charon writes protocol and port of a selector as names or numbers depends on the machine. */
function isRight({ localSelectors, remoteSelectors }: TrapPolicy, observed: ObservedTrap | undefined): boolean {
  return (
    observed !== undefined &&
    sameSelectors(localSelectors.map(networkOf), observed.localTs.map(networkOf)) &&
    sameSelectors(remoteSelectors.map(networkOf), observed.remoteTs.map(networkOf))
  );
}

function networkOf(selector: string): string {
  return selector.replace(/\[.*$/, '');
}
