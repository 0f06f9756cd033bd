import {
  CONNECTION_PREFIX,
  childrenOf,
  type ChildConfig,
  type Connection,
  type ConnectionName,
} from '../ike/connection.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import { CHECKS_MAX_MS } from '../ike/mediation.ts';
import type { ChildSa, IkeSa } from '../ike/sa.ts';
import { sameSelectors } from '../ike/traffic-selector.ts';
import { FIXED_REQID_MIN, type Steering } from '../ike/steering.ts';
import type { ObservedState, Step } from './charon.ts';
import type { Ledger } from './ledger.ts';
import { divertRoutes, routeSteps, type RouteInput } from './routes.ts';
import { divertSteps, trapSteps, type TrapInput } from './traps.ts';

/** Below this many free worker threads charon is left alone: initiates would take the last ones (it then never answers again). */
export const IDLE_WORKERS_MIN = 3;

/**
 * A direct tunnel that the desired state has no more stays so long where this node moves the link's traffic: it has left the
 * tunnel, and the other end sends into it until it has taken the change as well.
 */
export const LEAVE_MS = 2000;

/** Set-ups begun in one round: the next one looks at the workers again. */
const INITIATES_MAX = 16;

export interface PlanInput extends TrapInput, RouteInput {
  readonly desired: DesiredState;
  readonly observed: ObservedState;
  /** Already reduced to what is still true of the observed charon. */
  readonly ledger: Ledger;
  /** Digest of the node's key, certificate and CAs; undefined while it has none that can be used. */
  readonly credentialsDigest: string | undefined;
  /** Digest of the list of revoked certificates; absent while there is none. */
  readonly crlDigest?: string;
  /** Digest of what load-conn would be given; undefined for a connection that cannot be loaded now, nor set up. */
  readonly digestOf: (connection: Connection | Steering) => string | undefined;
  /** How long this agent has known the IKE SA, in ms. */
  readonly knownForMs: (ikeSa: IkeSa) => number;
  /** For how long the desired state has had no connection for the IKE SA, in ms. */
  readonly unwantedForMs: (ikeSa: IkeSa) => number;
  /** Tries in a row that a set-up (by its {@link initiateKey}) has had without a lasting result. */
  readonly attemptsOf: (key: string) => number;
  /** False while the back-off of this resource (a step's {@link paceKey}) runs or its path does not want it. */
  readonly allowed: (key: string) => boolean;
  /** IKE SAs, by unique id, that carry nothing any more. */
  readonly abandon: ReadonlySet<number>;
  /** CHILD SAs, by unique id, whose peer is to hear from this node now. */
  readonly rekey: ReadonlySet<number>;
}

/** What a back-off counts for: one connection's load or one SA's set-up. */
export function paceKey(step: Step): string | undefined {
  switch (step.kind) {
    case 'load-credentials':
      return 'load credentials';
    case 'load-crl':
      return 'load crl';
    case 'load-conn':
      return `load ${step.connection.name}`;
    case 'initiate-ike':
      return initiateKey(step.connection);
    case 'initiate-child':
      return initiateKey(step.connection, step.child);
    case 'install-trap':
      return `install ${step.connection}/${step.trap}`;
    case 'set-routes':
      return `install ${step.connection}/routes`;
    case 'uninstall-trap':
    case 'divert-routes':
    case 'remove-routes':
    case 'unload-conn':
    case 'unload-key':
    case 'terminate-ike':
    case 'abandon-ike':
    case 'rekey-child':
    case 'terminate-child':
      return undefined;
  }
}

export function initiateKey(connection: string, child?: string): string {
  return child === undefined ? `initiate ${connection}` : `initiate ${connection}/${child}`;
}

/**
 * The steps from what is to what should be, in order: traffic out of the way, repairs, credentials, loads, traps, routes,
 * removals, set-ups. Empty when charon is as desired. Pure; touches only what carries our prefix.
 */
export function plan(input: PlanInput): readonly Step[] {
  const isAllowed = (step: Step): boolean => {
    const key = paceKey(step);
    return key === undefined || input.allowed(key);
  };
  const steps = [
    ...divertSteps(input),
    ...divertRoutes(input),
    ...repairSteps(input),
    ...credentialSteps(input),
    ...loadSteps(input),
    ...trapSteps(input, { isLoaded: (steering) => isLoaded(steering, input), isAllowed }),
    ...routeSteps(input),
    ...removalSteps(input),
  ];
  const initiates = input.observed.idleWorkers < IDLE_WORKERS_MIN ? [] : initiateSteps(input).filter(isAllowed);
  return [...steps.filter(isAllowed), ...initiates.slice(0, INITIATES_MAX)];
}

/** Only of what was established: ending an SA whose connectivity checks run aborts charon. */
function repairSteps({ observed, abandon, rekey }: PlanInput): Step[] {
  return observed.ikeSas.flatMap((ikeSa): Step[] => {
    const isEstablished = ikeSa.state === 'ESTABLISHED';
    if (abandon.has(ikeSa.uniqueId) && (isEstablished || ikeSa.state === 'REKEYING')) {
      return [{ kind: 'abandon-ike', connection: ikeSa.name, ikeSaId: ikeSa.uniqueId }];
    }
    return ikeSa.childSas
      .filter(({ uniqueId, state }) => isEstablished && rekey.has(uniqueId) && state === 'INSTALLED')
      .map(({ name, uniqueId }) => ({ kind: 'rekey-child', connection: ikeSa.name, child: name, childSaId: uniqueId }));
  });
}

/**
 * Before anything is removed: who is on the list must not come back through the gap. Without credentials to load, the list
 * goes to a charon that was given some before: no other lets anybody in.
 */
function credentialSteps({ ledger, credentialsDigest, crlDigest }: PlanInput): Step[] {
  const loads: Step[] =
    credentialsDigest === undefined || ledger.credentials === credentialsDigest
      ? []
      : [{ kind: 'load-credentials', digest: credentialsDigest }];
  const letsIn = credentialsDigest !== undefined || ledger.credentials !== null;
  const isListed = loads.length === 0 && ledger.crl === crlDigest;
  const isDue = crlDigest !== undefined && letsIn && !isListed;
  return isDue ? [...loads, { kind: 'load-crl', digest: crlDigest }] : loads;
}

/**
 * Former keys go once charon was seen with the new one. Nothing needs them then: an IKE SA uses a private key while it is
 * set up, and these connections never reauthenticate.
 */
function formerKeySteps({ ledger, credentialsDigest }: PlanInput): Step[] {
  if (ledger.credentials !== credentialsDigest) return [];
  return ledger.formerKeyIds.map((keyId) => ({ kind: 'unload-key', keyId }));
}

/** Mediation connections first: a mediated one names the connection that it is mediated by. */
function loadSteps({ desired, steering, ledger, digestOf }: PlanInput): Step[] {
  const isPeer = (connection: Connection | Steering): number => (connection.kind === 'mediated-peer' ? 1 : 0);
  return [...desired.connections, ...steering]
    .sort((a, b) => isPeer(a) - isPeer(b))
    .flatMap((connection): Step[] => {
      const digest = digestOf(connection);
      const isDue = digest !== undefined && ledger.connections[connection.name] !== digest;
      return isDue ? [{ kind: 'load-conn', connection, digest }] : [];
    });
}

function removalSteps(input: PlanInput): Step[] {
  const wanted = new Map<string, Connection>(
    input.desired.connections.map((connection) => [connection.name, connection]),
  );
  const steering = new Set<string>(input.steering.map(({ name }) => name));
  const unloads = [...input.observed.connections]
    .filter(
      (name): name is ConnectionName => name.startsWith(CONNECTION_PREFIX) && !wanted.has(name) && !steering.has(name),
    )
    .map((connection) => ({ kind: 'unload-conn' as const, connection }));
  const terminates = input.observed.ikeSas.flatMap((ikeSa) => surplusOf(ikeSa, wanted.get(ikeSa.name), input));
  return [...unloads, ...formerKeySteps(input), ...terminates, ...duplicateSteps(input)];
}

/** What of one IKE SA has no place in the desired state. */
function surplusOf(ikeSa: IkeSa, connection: Connection | undefined, input: PlanInput): Step[] {
  if (connection === undefined)
    return isSettled(ikeSa, input) && !isBeingLeft(ikeSa, input) ? [terminateIke(ikeSa)] : [];
  if (isBarred(ikeSa, connection)) return [{ kind: 'abandon-ike', connection: ikeSa.name, ikeSaId: ikeSa.uniqueId }];
  if (isStuck(ikeSa, connection, input) || hasOtherPolicies(ikeSa, connection)) return [terminateIke(ikeSa)];
  const names = new Set<string>(childrenOf(connection).map((child) => child.name));
  return ikeSa.childSas.filter((childSa) => !names.has(childSa.name)).map((childSa) => terminateChild(ikeSa, childSa));
}

/** DELETING: it was established, and charon waits for the answer of a peer that may never give one. */
function isSettled(ikeSa: IkeSa, { knownForMs }: PlanInput): boolean {
  return ikeSa.state === 'ESTABLISHED' || ikeSa.state === 'DELETING' || knownForMs(ikeSa) > CHECKS_MAX_MS;
}

function isBeingLeft(ikeSa: IkeSa, { steering, unwantedForMs }: PlanInput): boolean {
  const isOf = (link: string): boolean => ikeSa.childSas.some(({ name }) => name === link);
  return unwantedForMs(ikeSa) < LEAVE_MS && steering.some(({ link }) => isOf(link));
}

/** A revoked node is not asked whether it agrees. Only what was established: see {@link repairSteps}. */
function isBarred({ state, remoteId }: IkeSa, connection: Connection): boolean {
  if (connection.kind !== 'mediation-server' || connection.barred === undefined) return false;
  if (state !== 'ESTABLISHED' && state !== 'REKEYING' && state !== 'DELETING') return false;
  const [before = '', after = ''] = connection.remoteId.split('*');
  if (!remoteId.startsWith(before) || !remoteId.endsWith(after)) return false;
  const node = remoteId.slice(before.length, remoteId.length - after.length);
  return connection.barred.some((barred) => barred === node);
}

/** A failed or poisoned mediation stays in CREATED for ever and says nothing. */
function isStuck(ikeSa: IkeSa, connection: Connection, { knownForMs }: PlanInput): boolean {
  return connection.kind === 'mediated-peer' && ikeSa.state === 'CREATED' && knownForMs(ikeSa) > CHECKS_MAX_MS;
}

/**
 * Of an agent before this one, or of a desired state, that left traffic to charon where it is moved now, or the other way round.
 * Its policies come before all traps, or it has none; and an end whose turn it is not could never replace it.
 */
function hasOtherPolicies({ state, childSas }: IkeSa, connection: Connection): boolean {
  if (connection.kind !== 'mediated-peer' || state !== 'ESTABLISHED') return false;
  return connection.children.some((child) =>
    childSas.some(
      (childSa) => childSa.name === child.name && childSa.state === 'INSTALLED' && !hasPoliciesOf(childSa, child),
    ),
  );
}

/**
 * One IKE SA per connection and one CHILD SA per child. Only the side that sets up tidies up, or both ends might each
 * end the other's choice.
 */
function duplicateSteps(input: PlanInput): Step[] {
  return input.desired.connections
    .filter((connection) => tidies(connection, input.desired) && familyOf(connection, input.desired)[0] === connection)
    .flatMap((connection) => {
      const established = familyOf(connection, input.desired)
        .flatMap((each) => sasOf(input.observed, each))
        .filter((ikeSa) => ikeSa.state === 'ESTABLISHED');
      const surplusIke = byPreference(established).slice(1).map(terminateIke);
      const kept = byPreference(established)[0];
      const surplusChildren =
        kept === undefined
          ? []
          : childrenOf(connection).flatMap((child) => {
              const installed = kept.childSas.filter(
                (childSa) => childSa.name === child.name && childSa.state === 'INSTALLED',
              );
              return byFit(installed, child)
                .slice(1)
                .map((childSa) => terminateChild(kept, childSa));
            });
      return [...surplusIke, ...surplusChildren];
    });
}

/**
 * The connections under which a charon may file one and the same IKE SA: those of a peer through each mediator, as the
 * answering charon knows the peer by its identity only. The first one speaks for all.
 */
function familyOf(connection: Connection, desired: DesiredState): readonly Connection[] {
  if (connection.kind !== 'mediated-peer') return [connection];
  return desired.connections.filter((each) => each.kind === 'mediated-peer' && each.peer === connection.peer);
}

function tidies(connection: Connection, desired: DesiredState): boolean {
  switch (connection.kind) {
    case 'mediation-client':
    case 'spoke':
      return true;
    case 'mediated-peer':
      return desired.node < connection.peer;
    case 'mediation-server':
    case 'hub':
      return false;
  }
}

/** Best first: an SA that carries traffic, then the lower SPI, which both ends see alike. */
function byPreference(ikeSas: readonly IkeSa[]): readonly IkeSa[] {
  return [...ikeSas].sort(
    (a, b) =>
      Math.min(1, b.childSas.length) - Math.min(1, a.childSas.length) || (a.initiatorSpi < b.initiatorSpi ? -1 : 1),
  );
}

/** Best first: the right selectors, then the newest. */
function byFit(childSas: readonly ChildSa[], child: ChildConfig): readonly ChildSa[] {
  return [...childSas].sort((a, b) => Number(fits(b, child)) - Number(fits(a, child)) || b.uniqueId - a.uniqueId);
}

/** True when the CHILD SA has exactly the configured selectors, and the right policies. */
export function fits(childSa: ChildSa, child: ChildConfig): boolean {
  return hasSelectorsOf(childSa, child) && hasPoliciesOf(childSa, child);
}

export function hasSelectorsOf(childSa: ChildSa, child: ChildConfig): boolean {
  return sameSelectors(childSa.localTs, child.localSubnets) && sameSelectors(childSa.remoteTs, child.remoteSubnets);
}

/**
 * One with a fixed reqid has no policies of its own, and one without has, for all packets or those of an XFRM interface: none
 * can take the place of another.
 */
function hasPoliciesOf({ reqid, ifId }: ChildSa, child: ChildConfig): boolean {
  if (ifId !== (child.ifId ?? 0)) return false;
  return child.reqid === undefined ? reqid < FIXED_REQID_MIN : reqid === child.reqid;
}

function initiateSteps(input: PlanInput): Step[] {
  const { desired, observed } = input;
  return desired.connections.flatMap((connection): Step[] => {
    // What is loaded in this very round is set up in the next: a refused load must not be initiated.
    if (!isLoaded(connection, input)) return [];
    const ikeSas = sasOf(observed, connection);
    if (ikeSas.some((ikeSa) => hasOtherPolicies(ikeSa, connection))) return [];
    if (connection.kind === 'mediation-client') {
      const wanted = connection.start === 'start' && ikeSas.length === 0;
      return wanted ? [{ kind: 'initiate-ike' as const, connection: connection.name }] : [];
    }
    if (connection.kind !== 'spoke' && connection.kind !== 'mediated-peer') return [];
    // A set-up under way is waited for: a second initiate would make a second IKE SA.
    const family = familyOf(connection, desired).flatMap((each) => sasOf(observed, each));
    if (isSetUpUnderWay(ikeSas, family)) return [];
    const missing = connection.children.filter((child) => child.start === 'start' && !isUp(child, ikeSas));
    const isEstablished = ikeSas.some((ikeSa) => ikeSa.state === 'ESTABLISHED');
    const now = (isEstablished ? missing : missing.slice(0, 1)).filter(({ name }) =>
      input.allowed(initiateKey(connection.name, name)),
    );
    return now.flatMap((child) => [
      ...blockingSteps(connection, child, ikeSas, input),
      { kind: 'initiate-child', connection: connection.name, child: child.name },
    ]);
  });
}

/** Whether charon was given a connection as it should be. */
function isLoaded(connection: Connection | Steering, { ledger, digestOf }: PlanInput): boolean {
  const digest = digestOf(connection);
  return digest !== undefined && ledger.connections[connection.name] === digest;
}

/**
 * Whether charon is at a set-up of a connection, so that another initiate would make a second IKE SA. `family`: the IKE
 * SAs of all connections under which the same one may be filed.
 */
export function isSetUpUnderWay(own: readonly IkeSa[], family: readonly IkeSa[]): boolean {
  return family.some(({ state }) => state === 'CONNECTING') || own.some(({ state }) => state === 'CREATED');
}

/** A CHILD SA with other selectors is replaced make before break, and after so many tries break before make. */
const GENTLE_TRIES = 2;

/**
 * charon sets up no CHILD SA beside one of the same configuration ("due to existing duplicate"), also when the peer,
 * with an older configuration, has narrowed the selectors of that one: it has to go first.
 */
function blockingSteps(connection: Connection, child: ChildConfig, ikeSas: readonly IkeSa[], input: PlanInput): Step[] {
  if (input.attemptsOf(initiateKey(connection.name, child.name)) < GENTLE_TRIES) return [];
  return ikeSas.flatMap((ikeSa) =>
    ikeSa.childSas
      .filter((childSa) => childSa.name === child.name && childSa.state === 'INSTALLED' && !fits(childSa, child))
      .map((childSa) => terminateChild(ikeSa, childSa)),
  );
}

/** States of a CHILD SA that is there or about to be. */
const LIVE_CHILD_STATES: readonly string[] = [
  'CREATED',
  'INSTALLING',
  'INSTALLED',
  'UPDATING',
  'REKEYING',
  'REKEYED',
  'RETRYING',
];

function isUp(child: ChildConfig, ikeSas: readonly IkeSa[]): boolean {
  return ikeSas
    .flatMap((ikeSa) => ikeSa.childSas)
    .some(
      (childSa) =>
        childSa.name === child.name &&
        LIVE_CHILD_STATES.includes(childSa.state) &&
        (childSa.state !== 'INSTALLED' || fits(childSa, child)),
    );
}

function sasOf(observed: ObservedState, connection: Connection): readonly IkeSa[] {
  return observed.ikeSas.filter((ikeSa) => ikeSa.name === connection.name);
}

function terminateIke(ikeSa: IkeSa): Step {
  return { kind: 'terminate-ike', connection: ikeSa.name, ikeSaId: ikeSa.uniqueId };
}

function terminateChild(ikeSa: IkeSa, childSa: ChildSa): Step {
  return { kind: 'terminate-child', connection: ikeSa.name, child: childSa.name, childSaId: childSa.uniqueId };
}
