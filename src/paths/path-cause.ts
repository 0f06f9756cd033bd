import type { Evidence } from './evidence.ts';

/** Why a link has no direct path, as a closed set; {@link explainCause} has the words. */
export const PATH_CAUSES = [
  'peer-offline',
  'mediator-unreachable',
  'symmetric-nat',
  'udp-blocked',
  'auth-failed',
  'no-proposal',
  'ts-unacceptable',
  'stuck-in-charon',
  'peer-refused',
  'path-silent',
] as const;
export type PathCause = (typeof PATH_CAUSES)[number];

/**
 * Kinds of NAT, as far as hole punching cares; `agent/netcheck` finds out. `none`: others see the node's own address and
 * port. `cone`: all see one and the same other endpoint. `symmetric`: each destination sees another one. `unknown`: too
 * few answers to compare. `blocked`: nothing answers over UDP at all.
 */
export const NAT_KINDS = ['none', 'cone', 'symmetric', 'blocked', 'unknown'] as const;
export type NatKind = (typeof NAT_KINDS)[number];

/** The cause that a line of charon's log proves. That checks failed proves none: the reason is in the network. */
export function causeBy(evidence: Evidence | undefined): PathCause | undefined {
  return evidence === undefined || evidence.code === 'checks-failed' ? undefined : evidence.code;
}

/** What is known of a link without a direct path. */
export interface CauseEvidence {
  /** Whether this node is registered at the link's mediator. */
  readonly ownRegistered: boolean;
  /** The coordinator's word; undefined while it is away. */
  readonly peerOnline: boolean | undefined;
  readonly peerRegistered: boolean | undefined;
  readonly ownNat: NatKind;
  readonly peerNat: NatKind;
  /** What charon's log proved about this link, if anything. */
  readonly logged: PathCause | undefined;
  /** Tries in a row that came to nothing. */
  readonly failures: number;
  /** It was up, and was given up. */
  readonly lost: boolean;
}

/**
 * The cause, or undefined while there is nothing to explain (yet). What this node sees for itself counts before what it
 * is told, and what is proven before what is left over: packets between two ends that could punch, and did not, are lost
 * on the way.
 */
export function causeOf(evidence: CauseEvidence): PathCause | undefined {
  const { ownRegistered, peerOnline, peerRegistered, ownNat, peerNat, logged, failures, lost } = evidence;
  if (!ownRegistered) return ownNat === 'blocked' ? 'udp-blocked' : 'mediator-unreachable';
  if (peerOnline === false && peerRegistered !== true) return 'peer-offline';
  if (peerRegistered === false) return peerNat === 'blocked' ? 'udp-blocked' : 'mediator-unreachable';
  if (failures === 0) return lost ? 'path-silent' : undefined;
  // Where no hole can be punched, an attempt that hangs as well changes nothing.
  if (isHopeless(ownNat, peerNat) && (logged ?? 'stuck-in-charon') === 'stuck-in-charon') return 'symmetric-nat';
  if (logged !== undefined) return logged;
  return 'udp-blocked';
}

/** A symmetric NAT shows each peer another port, which only a peer that takes packets from any port can work with. */
export function isHopeless(ownNat: NatKind, peerNat: NatKind): boolean {
  const isOpen = (kind: NatKind): boolean => kind === 'none';
  return (ownNat === 'symmetric' && !isOpen(peerNat)) || (peerNat === 'symmetric' && !isOpen(ownNat));
}

/** What the cause means for a link, and what to do about it. */
export function explainCause(cause: PathCause, peer: string): string {
  switch (cause) {
    case 'peer-offline':
      return `${peer} is offline: it has no control channel and is not registered at the mediator; see to that node`;
    case 'mediator-unreachable':
      return `${peer} and this node are not both registered at the mediator: agentctl netcheck on each tells whether UDP 500 and 4500 reach it`;
    case 'symmetric-nat':
      return `a symmetric NAT in front of ${peer} or of this node takes a new port for every peer, so no hole can be punched; let one of the two routers forward UDP 500 and 4500, or keep source ports`;
    case 'udp-blocked':
      return `UDP between ${peer} and this node is dropped on the way; allow UDP 500 and 4500 both ways at both sites, and have charon ignore LAN interfaces (charon.interfaces_ignore)`;
    case 'auth-failed':
      return `${peer} and this node do not accept each other's certificates; compare the clocks, and enrol the node again whose certificate is old`;
    case 'no-proposal':
      return `${peer} and this node have no proposal in common: see proposals in the mesh spec, and whether both charons have the plugins for them`;
    case 'ts-unacceptable':
      return `${peer} refuses the traffic selectors: one of the two has not taken the last change of the mesh spec; see meshctl nodes`;
    case 'stuck-in-charon':
      return `charon holds on to an earlier attempt to ${peer}; the other end takes its turn, this one tries by a second registration, and restarting strongswan here ends it for certain`;
    case 'peer-refused':
      return `${peer} refuses the tunnel: it may not have loaded its side yet; see meshctl nodes and the charon log there`;
    case 'path-silent':
      return `the direct tunnel to ${peer} was there, and was given up: nothing came through any more, or agentctl reconnect was called; it is being set up again`;
  }
}
