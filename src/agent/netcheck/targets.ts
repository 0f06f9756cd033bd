import type { DesiredState } from '../../ike/desired-state.ts';

/** A mediator or hub that this node connects to, at one of its addresses. */
export interface Target {
  readonly node: string;
  /** An address or a host name. */
  readonly host: string;
}

/** Addresses that one check asks: a node of a large mesh has a few mediators, each with an address or two. */
const TARGETS_MAX = 16;

/** Each address once, in the order of the desired state, at most {@link TARGETS_MAX}. */
export function targetsOf(desired: DesiredState | undefined): readonly Target[] {
  const targets = new Map<string, Target>();
  for (const connection of desired?.connections ?? []) {
    if (connection.kind !== 'mediation-client' && connection.kind !== 'spoke') continue;
    const node = connection.kind === 'spoke' ? connection.peer : connection.mediator;
    for (const host of connection.remoteAddresses) targets.set(`${node} ${host}`, { node, host });
  }
  return [...targets.values()].slice(0, TARGETS_MAX);
}

/** Whether others of the mesh connect to this node, so that it should tell them how they look from outside. */
export function isAsked(desired: DesiredState | undefined): boolean {
  return desired?.connections.some(({ kind }) => kind === 'mediation-server' || kind === 'hub') ?? false;
}
