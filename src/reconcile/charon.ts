import type { ChildName, Connection, ConnectionName } from '../ike/connection.ts';
import type { IkeSa } from '../ike/sa.ts';
import type { PathKind, Steering } from '../ike/steering.ts';

/** All of charon, and of the node's own routes, that the loop looks at, read at one moment. */
export interface ObservedState {
  /**
   * Start of this charon process in ms after the machine's boot, good to a few seconds (charon tells whole ones).
   * Another value means another process: all that was loaded is gone.
   */
  readonly charonStartMs: number;
  /** The same in ms since the epoch, for people: it moves when the wall clock is set. */
  readonly charonSinceMs: number;
  readonly charonVersion: string;
  /** Worker threads that are free; at 2 or fewer nothing more is asked of charon. */
  readonly idleWorkers: number;
  /** Loaded connections with our prefix. */
  readonly connections: ReadonlySet<string>;
  /** Ids of the private keys that charon holds, whoever loaded them. */
  readonly keyIds: ReadonlySet<string>;
  /** IKE SAs of connections with our prefix. */
  readonly ikeSas: readonly IkeSa[];
  /** Installed traps of connections with our prefix, by `trapKey`. */
  readonly traps: ReadonlyMap<string, ObservedTrap>;
  /** This node's routes into its XFRM interfaces, by `routeKey`; none where it moves no traffic by them. */
  readonly routes: ReadonlyMap<string, ObservedRoute>;
}

/** A route into one of the node's XFRM interfaces. */
export interface Route {
  /** `probes` is looked at only for the probes of direct tunnels, and before the other one. */
  readonly table: 'traffic' | 'probes';
  /** CIDR. */
  readonly destination: string;
  readonly path: PathKind;
}

export interface ObservedRoute extends Omit<Route, 'path'> {
  /** Undefined: it leads elsewhere. */
  readonly path: PathKind | undefined;
}

/** A trap policy that charon has installed. */
export interface ObservedTrap {
  readonly connection: string;
  readonly name: string;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
}

interface RouteArgs {
  /** Of the link, for people: it has no routes itself. */
  readonly connection: string;
  readonly routes: readonly Route[];
  /** CIDRs: what this node sends there itself has an address of these, or its mesh address. */
  readonly localSubnets: readonly string[];
}

interface StepArgs {
  /** The node's key and certificate and the mesh CA. */
  'load-credentials': { readonly digest: string };
  /** The list of revoked certificates. */
  'load-crl': { readonly digest: string };
  'load-conn': { readonly connection: Connection | Steering; readonly digest: string };
  'unload-conn': { readonly connection: ConnectionName };
  /** What fits it goes into another tunnel from then on. Loses nothing. */
  'install-trap': { readonly connection: string; readonly trap: string };
  'uninstall-trap': { readonly connection: string; readonly trap: string };
  /** What goes there takes these tunnels from then on. Loses nothing. */
  'set-routes': RouteArgs;
  /** The same, for traffic that is to leave a direct tunnel: never put off. */
  'divert-routes': RouteArgs;
  'remove-routes': { readonly routes: readonly ObservedRoute[] };
  /** A private key that a newer one has replaced. */
  'unload-key': { readonly keyId: string };
  'terminate-ike': { readonly connection: string; readonly ikeSaId: number };
  /**
   * Ends an established IKE SA at once, without waiting for the peer to agree: nothing comes through it, and while charon
   * waited, traffic would go on into it.
   */
  'abandon-ike': { readonly connection: string; readonly ikeSaId: number };
  /** An exchange with the peer, which then sees from where this node comes now. Loses nothing. */
  'rekey-child': { readonly connection: string; readonly child: string; readonly childSaId: number };
  'terminate-child': { readonly connection: string; readonly child: string; readonly childSaId: number };
  /** A mediation connection: it has no child. */
  'initiate-ike': { readonly connection: ConnectionName };
  /** Always by child: by IKE alone charon skips the mediation and sends to 0.0.0.0. */
  'initiate-child': { readonly connection: ConnectionName; readonly child: ChildName };
}

export type StepKind = keyof StepArgs;
export type Step<K extends StepKind = StepKind> = { [P in K]: { readonly kind: P } & StepArgs[P] }[K];
/** load-credentials answers with the id of the private key that charon gave it; the others with nothing. */
export type Executors = {
  readonly [K in StepKind]: (step: Step<K>, signal: AbortSignal) => Promise<string | undefined>;
};

/** What the loop needs of the daemon. The agent implements it over VICI, tests in memory. */
export interface Charon {
  /** Reads the complete state; rejects rather than return a part of it. */
  observe(signal: AbortSignal): Promise<ObservedState>;
  /** An executor rejects with a {@link StepRefused} when charon said no; with anything else when charon is gone. */
  readonly executors: Executors;
}

/** charon's "no" to one step: the others may go on. `message` is in charon's words. */
export class StepRefused extends Error {
  override readonly name = 'StepRefused';
}

/** Runs the one executor of the step's kind. */
export function executeStep<K extends StepKind>(
  executors: Executors,
  step: Step<K>,
  signal: AbortSignal,
): Promise<string | undefined> {
  return executors[step.kind](step, signal);
}
